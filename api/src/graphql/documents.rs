//! Documents that came before. A program sends the same few over and over, with other variables, and
//! parsing one was nearly a third of what the API itself has to do to place an order.
//!
//! What is known is what a text says and that it asks for no more than it may; who may do it is asked
//! every time.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::ServerError;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;
use lru::LruCache;

use super::cost;
use super::error::{Code, server_error};

/// So many are kept, those that came last …
const KEPT: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// … if their text is no longer than so many bytes. Parsed, a text takes some twenty times its length.
const LONGEST: usize = 4 << 10;

/// The documents that came last, parsed.
#[derive(Debug)]
pub(super) struct Documents {
    known: Mutex<LruCache<Box<str>, Arc<ExecutableDocument>>>,
}

impl Documents {
    pub(super) fn new() -> Self {
        Self { known: Mutex::new(LruCache::new(KEPT)) }
    }

    /// What `text` says.
    ///
    /// # Errors
    /// It is not GraphQL, or asks for too much.
    pub(super) fn read(&self, text: &str) -> Result<Arc<ExecutableDocument>, ServerError> {
        if let Some(document) = self.known().get(text) {
            return Ok(Arc::clone(document));
        }
        let document = parse_query(text)
            .map_err(|error| server_error(Code::BadRequest, ServerError::from(error).message))?;
        cost::check(&document)
            .map_err(|error| server_error(Code::QueryTooExpensive, error.to_string()))?;
        let document = Arc::new(document);
        if text.len() <= LONGEST {
            self.known().put(text.into(), Arc::clone(&document));
        }
        Ok(document)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, LruCache<Box<str>, Arc<ExecutableDocument>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_came_before_is_not_parsed_again() {
        let documents = Documents::new();
        let first = documents.read("{ order(id: 1) { id } }").unwrap();
        let again = documents.read("{ order(id: 1) { id } }").unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = documents.read("{ order(id: 2) { id } }").unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn those_that_came_last_are_kept() {
        let documents = Documents::new();
        let text = |number: usize| format!("{{ order(id: {number}) {{ id }} }}");
        let first = documents.read(&text(0)).unwrap();
        let second = documents.read(&text(1)).unwrap();
        for number in 2..KEPT.get() {
            documents.read(&text(number)).unwrap();
        }
        assert!(Arc::ptr_eq(&first, &documents.read(&text(0)).unwrap()));
        documents.read(&text(KEPT.get())).unwrap();
        assert!(Arc::ptr_eq(&first, &documents.read(&text(0)).unwrap()));
        assert!(!Arc::ptr_eq(&second, &documents.read(&text(1)).unwrap()));
        assert_eq!(documents.known().len(), KEPT.get());
    }

    #[test]
    fn what_is_long_or_refused_is_not_kept() {
        let documents = Documents::new();
        let long = format!("{{ order(id: \"{}\") {{ id }} }}", "1".repeat(LONGEST));
        documents.read(&long).unwrap();
        let code = |error: ServerError| error.extensions.unwrap().get("code").unwrap().to_string();
        let torn = documents.read("{ order(id: 1) { id }").unwrap_err();
        assert_eq!(code(torn), r#""BAD_REQUEST""#);
        let everything = format!("{{ {} }}", "orders { id } ".repeat(1_000));
        let refused = documents.read(&everything).unwrap_err();
        assert_eq!(code(refused), r#""QUERY_TOO_EXPENSIVE""#);
        assert!(documents.known().is_empty());
    }
}
