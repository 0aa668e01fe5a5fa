//! The gate in front of the schema: the same for HTTP and WebSocket. Counts what a document asks
//! for, checks what the caller may do, bounds the time, and sees to it that every error has a code.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Data, Executor, Request, Response, ServerError};
use futures::stream::{self, BoxStream, StreamExt};

use super::access;
use super::cost;
use super::documents::Documents;
use super::error::{Code, server_error};
use super::request::Caller;
use super::schema::ApiSchema;
use crate::auth::{Identity, Refused};

/// Where requests come from: one HTTP request, or one WebSocket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// Who; set once it is known.
    pub(crate) identity: Arc<OnceLock<Identity>>,
    /// The HTTP header `Idempotency-Key`.
    pub(crate) idempotency_key: Option<String>,
    /// The HTTP header `traceparent`, when it is well-formed.
    pub(crate) traceparent: Option<String>,
}

/// The schema, as it may be used by one [`Origin`].
#[derive(Clone)]
pub(crate) struct Gate {
    schema: ApiSchema,
    documents: Arc<Documents>,
    time_limit: Duration,
    origin: Origin,
}

impl Gate {
    pub(crate) fn new(schema: ApiSchema, time_limit: Duration) -> Self {
        let documents = Arc::new(Documents::new());
        Self { schema, documents, time_limit, origin: Origin::default() }
    }

    /// The same gate for requests from `origin`.
    pub(crate) fn with_origin(&self, origin: Origin) -> Self {
        Self { origin, ..self.clone() }
    }

    /// Checks `request` and attaches the caller; says what kind of operation it is.
    fn admit(&self, request: &mut Request) -> Result<OperationType, Vec<ServerError>> {
        let Some(identity) = self.origin.identity.get() else {
            return Err(vec![server_error(Code::Unauthenticated, Refused::Missing.to_string())]);
        };
        let caller = Caller {
            request_id: journal::ids::new_id(),
            identity: identity.clone(),
            idempotency_key: self.origin.idempotency_key.clone(),
            traceparent: self.origin.traceparent.clone(),
        };
        let document = self.documents.read(&request.query).map_err(|refused| vec![refused])?;
        let kind = check_access(&document, request.operation_name.as_deref(), &caller)?;
        request.set_parsed_query(Arc::unwrap_or_clone(document));
        request.data.insert(caller);
        Ok(kind)
    }

    async fn run(&self, request: Request) -> Response {
        match tokio::time::timeout(self.time_limit, self.schema.execute(request)).await {
            Ok(response) => with_codes(response),
            Err(_) => Response::from_errors(vec![server_error(
                Code::Timeout,
                "the request took too long and was given up; it may have been carried out all the \
                 same, so try again with the same idempotency key",
            )]),
        }
    }
}

impl Executor for Gate {
    async fn execute(&self, mut request: Request) -> Response {
        match self.admit(&mut request) {
            Ok(OperationType::Subscription) => Response::from_errors(vec![server_error(
                Code::BadRequest,
                "a subscription needs a WebSocket: connect to this address with the protocol \
                 graphql-transport-ws",
            )]),
            Ok(OperationType::Query | OperationType::Mutation) => self.run(request).await,
            Err(errors) => Response::from_errors(errors),
        }
    }

    fn execute_stream(
        &self,
        mut request: Request,
        session_data: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        match self.admit(&mut request) {
            Ok(OperationType::Subscription) => {
                let responses = match session_data {
                    Some(data) => {
                        self.schema.execute_stream_with_session_data(request, data).boxed()
                    }
                    None => self.schema.execute_stream(request).boxed(),
                };
                responses.map(with_codes).boxed()
            }
            Ok(OperationType::Query | OperationType::Mutation) => {
                let gate = self.clone();
                stream::once(async move { gate.run(request).await }).boxed()
            }
            Err(errors) => stream::once(async move { Response::from_errors(errors) }).boxed(),
        }
    }
}

/// Refuses the operations that `wanted` may mean unless the caller may do all of each.
fn check_access(
    document: &ExecutableDocument,
    wanted: Option<&str>,
    caller: &Caller,
) -> Result<OperationType, Vec<ServerError>> {
    let mut kind = None;
    for (name, operation) in document.operations.iter() {
        let meant = match (&document.operations, name, wanted) {
            (DocumentOperations::Multiple(_), Some(name), Some(wanted)) => name == wanted,
            _ => true,
        };
        if !meant {
            continue;
        }
        kind = Some(operation.node.ty);
        for field in cost::root_fields(document, &operation.node) {
            // What is not in the table is no operation: the schema says so, with a suggestion.
            let Some(scope) = access::needed(operation.node.ty, field) else { continue };
            caller.require(scope).map_err(|error| vec![forbidden(field, error)])?;
        }
    }
    kind.ok_or_else(|| {
        let message = "the document has no operation of that `operationName`";
        vec![server_error(Code::BadRequest, message)]
    })
}

fn forbidden(field: &str, error: async_graphql::Error) -> ServerError {
    let message = format!("{} that `{field}` needs", error.message);
    let mut refused = error.into_server_error(async_graphql::Pos::default());
    refused.message = message;
    refused
}

/// What the library itself refuses, it refuses because of the request.
fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", Code::BadRequest.name());
        }
    }
    response
}
