//! What commands share that are clients of the GraphQL API: how they are told where it is and what
//! to print, pages of lists, and changes that are done once however often they are tried. What is
//! asked, and how it looks, each command says itself.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::client::{Client, Unanswered};
use crate::output::say;
use crate::stores::Api;

/// The most that the API gives at once.
const PAGE: usize = 100;

/// Asks the API for something.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Asking {
    /// Print what the API answers, as one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    api: Api,
}

/// Asks the API to change something.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Changing {
    /// Names this very change, to repeat it without doing it twice. Default: a new one
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Deserialize)]
struct Answer<T> {
    it: T,
}

/// The beginning of a list.
pub(crate) struct Beginning {
    pub(crate) nodes: Vec<Value>,
    /// Whether there is more of it.
    pub(crate) more: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    nodes: Vec<Value>,
    page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

impl Asking {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.api.client()
    }

    /// Prints a list: as the API gave it, or the way that `show` does.
    pub(crate) fn print<T: DeserializeOwned>(
        &self,
        Beginning { nodes, more }: Beginning,
        show: impl FnOnce(Vec<T>),
    ) -> anyhow::Result<()> {
        if self.json {
            nodes.iter().for_each(say);
            return Ok(());
        }
        show(nodes.into_iter().map(read).collect::<anyhow::Result<_>>()?);
        if more {
            say("… and more; raise --limit");
        }
        Ok(())
    }
}

/// What `query` calls `it`; `None` if there is no such thing.
pub(crate) async fn find(
    client: &Client,
    query: &str,
    variables: Value,
) -> anyhow::Result<Option<Value>> {
    let Answer { it } = client.run(query, variables).await?;
    Ok(it)
}

/// At most `limit` of the list that `query` calls `it`. The query takes `$first` and `$after`,
/// and asks for `pageInfo { hasNextPage endCursor }` besides `nodes`.
pub(crate) async fn list(
    client: &Client,
    query: &str,
    mut variables: Value,
    limit: usize,
) -> anyhow::Result<Beginning> {
    let mut nodes = vec![];
    loop {
        variables["first"] = json!((limit - nodes.len()).clamp(1, PAGE));
        let answer: Answer<Page> = client.run(query, variables.clone()).await?;
        let Page { nodes: found, page_info } = answer.it;
        nodes.extend(found);
        if !page_info.has_next_page || nodes.len() >= limit {
            return Ok(Beginning { nodes, more: page_info.has_next_page });
        }
        variables["after"] = json!(page_info.end_cursor);
    }
}

/// A change that is under way.
pub(crate) struct Change {
    pub(crate) client: Client,
    /// Names it.
    pub(crate) key: String,
    json: bool,
}

impl Changing {
    pub(crate) fn begin(&self) -> anyhow::Result<Change> {
        let new_key = || format!("cli-{}", journal::ids::new_id());
        Ok(Change {
            client: self.asking.client()?,
            key: self.idempotency_key.clone().unwrap_or_else(new_key),
            json: self.asking.json,
        })
    }
}

impl Change {
    /// Runs the mutation `field` and returns its payload, with what is `wanted` of it.
    ///
    /// # Errors
    ///
    /// What the API says against it.
    pub(crate) async fn run(
        &self,
        field: &str,
        wanted: &str,
        input: Map<String, Value>,
    ) -> anyhow::Result<Value> {
        let mut input = Value::Object(input);
        input["idempotencyKey"] = json!(self.key);
        let input_type = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let query = format!(
            "mutation($input: {input_type}!) {{ it: {field}(input: $input) {{ \
             {wanted} position replayed userErrors {{ message code field }} }} }}"
        );
        let answered = self.client.run(&query, json!({ "input": input })).await;
        let Answer::<Value> { it } = answered.map_err(|error| self.may_be_done(error))?;
        let errors = it["userErrors"].as_array().map_or(&[][..], Vec::as_slice);
        let messages: Vec<_> = errors.iter().filter_map(|it| it["message"].as_str()).collect();
        if !errors.is_empty() {
            bail!("{}", messages.join("; "));
        }
        Ok(it)
    }

    /// Prints what became of it: as the API said it, or the way that `show` does.
    pub(crate) fn print<T: DeserializeOwned>(
        &self,
        payload: Value,
        show: impl FnOnce(T),
    ) -> anyhow::Result<()> {
        if self.json {
            say(payload);
            return Ok(());
        }
        if payload["replayed"] == true {
            say("Nothing was left to do.");
        }
        show(read(payload)?);
        Ok(())
    }

    /// Without an answer nobody knows whether it was done.
    fn may_be_done(&self, error: anyhow::Error) -> anyhow::Error {
        if !error.is::<Unanswered>() {
            return error;
        }
        error.context(format!(
            "it may have been done or not; to try it again add --idempotency-key {}",
            self.key
        ))
    }
}

/// What the API answered, understood.
pub(crate) fn read<T: DeserializeOwned>(answer: Value) -> anyhow::Result<T> {
    serde_json::from_value(answer).context("an unexpected answer")
}

/// The fields of an input, without those that are left out.
pub(crate) fn fields<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    let given = all.into_iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}
