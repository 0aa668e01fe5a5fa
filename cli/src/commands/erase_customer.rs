//! `orderstore erase-customer`: forgets who somebody is.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::output::say;
use crate::stores::Api;

const ERASE: &str = "mutation($input: CustomerEraseInput!) { it: customerErase(input: $input) { \
    keysDestroyed replayed userErrors { message } } }";
const ORDER_OF_NUMBER: &str = "query($number: String!) { \
    it: orders(first: 1, where: { number: $number }) { nodes { id } } }";

/// Destroys the keys of a customer's personal data: name, e-mail, telephone, addresses, notes. It
/// cannot be taken back.
///
/// Orders, money and stock stay as they are. docs/personal-data.md says what remains, and what to do
/// about backups and a real event store cluster.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub(crate) struct EraseCustomer {
    /// The customer's id in the system that knows the person
    #[arg(group = "whom")]
    customer: Option<String>,
    /// An order, by id or number: whoever it belongs to, or the guest who placed it
    #[arg(long, value_name = "ORDER", group = "whom")]
    order: Option<String>,
    /// Do not ask whether this is meant
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    api: Api,
}

#[derive(Deserialize)]
struct Answer<T> {
    it: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Erased {
    keys_destroyed: u32,
    replayed: bool,
    user_errors: Vec<UserError>,
}

#[derive(Deserialize)]
struct UserError {
    message: String,
}

#[derive(Deserialize)]
struct Found {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: Uuid,
}

impl EraseCustomer {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let client = self.api.client()?;
        let mut input = self.whom(&client).await?;
        if !self.yes {
            confirm()?;
        }
        // Repeating the command is another intention: the person may have come back meanwhile.
        input["idempotencyKey"] = json!(format!("erase-{}", journal::ids::new_id()));
        let Answer::<Erased> { it } = client.run(ERASE, json!({ "input": input })).await?;
        if let Some(error) = it.user_errors.first() {
            bail!("{}", error.message);
        }
        if it.replayed {
            say("Erased before: there was nothing left to erase.");
        } else {
            say(format!("Erased. Keys destroyed: {}.", it.keys_destroyed));
        }
        Ok(())
    }

    async fn whom(&self, client: &Client) -> anyhow::Result<Value> {
        let Some(order) = &self.order else { return Ok(json!({ "customer": self.customer })) };
        if let Ok(id) = order.parse::<Uuid>() {
            return Ok(json!({ "order": id }));
        }
        let found: Answer<Found> = client.run(ORDER_OF_NUMBER, json!({ "number": order })).await?;
        let node = found.it.nodes.first().with_context(|| {
            format!("no order has the number {order}; if it was placed just now, try again")
        })?;
        Ok(json!({ "order": node.id }))
    }
}

/// Asks whoever sits there; a script knows what it does.
fn confirm() -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Ok(());
    }
    print!("This cannot be taken back. Type `erase` to go on: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    ensure!(answer.trim() == "erase", "nothing was erased");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        command: EraseCustomer,
    }

    #[test]
    fn it_takes_a_customer_or_an_order_and_not_both() {
        let parse = |arguments: &[&str]| {
            Program::try_parse_from([&["program"], arguments].concat()).is_ok()
        };
        assert!(parse(&["4711"]));
        assert!(parse(&["--order", "SHOP-1001", "--yes"]));
        assert!(!parse(&[]));
        assert!(!parse(&["4711", "--order", "SHOP-1001"]));
    }
}
