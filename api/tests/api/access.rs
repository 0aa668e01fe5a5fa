//! Who may do what.

use std::fmt::Write;
use std::path::Path;

use api::ACCESS;
use serde_json::json;

use crate::support::{Api, code, sent};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/access.golden.txt");

#[test]
fn the_rules_of_access_are_the_agreed_ones() {
    let mut rules = String::new();
    for row in ACCESS {
        write!(rules, "{}.{} needs {}", row.operation, row.field, row.scope).unwrap();
        if let Some((part, scope)) = row.besides {
            write!(rules, ", and {scope} when {part} is given").unwrap();
        }
        rules.push('\n');
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GOLDEN, &rules).unwrap();
    }
    let golden = std::fs::read_to_string(Path::new(GOLDEN)).unwrap_or_default();
    assert_eq!(golden, rules, "access has changed; if that is meant, test with BLESS=1");
}

#[tokio::test]
async fn every_operation_has_a_rule_and_says_so_in_its_description() {
    let api = Api::start().await;
    let query = "{ __schema {
        queryType { name fields { name description } }
        mutationType { name fields { name description } }
        subscriptionType { name fields { name description } }
    } }";
    let schema = api.data(query, json!({})).await["__schema"].clone();
    let mut operations = 0;
    for kind in ["queryType", "mutationType", "subscriptionType"] {
        for field in schema[kind]["fields"].as_array().unwrap() {
            let (operation, name) = (&schema[kind]["name"], &field["name"]);
            let row = ACCESS.iter().find(|row| *operation == row.operation && *name == row.field);
            let row = row.unwrap_or_else(|| panic!("{operation}.{name} has no rule"));
            let said = field["description"].as_str().unwrap();
            assert!(said.contains(&format!("`{}`", row.scope)), "{name}: {said}");
            operations += 1;
        }
    }
    assert_eq!(operations, ACCESS.len(), "a rule is for no operation");
}

#[tokio::test]
async fn no_operation_is_open_to_a_token_without_its_scope() {
    let api = Api::start().await;
    for row in ACCESS {
        let others = api::auth::Scope::ALL.iter().filter(|scope| **scope != row.scope);
        let scope = others.map(|scope| scope.name()).collect::<Vec<_>>().join(" ");
        let token = api.token_with(&json!({ "scope": scope }));
        // A fragment and an alias make no difference.
        let query = format!(
            "{} {{ ...f }} fragment f on {} {{ x: {} {{ __typename }} }}",
            row.operation.to_lowercase(),
            row.operation,
            row.field
        );
        let request = api.post_anonymously().bearer_auth(token).json(&json!({ "query": query }));
        let (status, body) = sent(request).await;
        assert_eq!((status, code(&body)), (403, "FORBIDDEN"), "{row:?}: {body:#}");
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(row.scope.name()), "{message}");
    }
}

#[tokio::test]
async fn a_document_that_others_have_sent_is_no_way_in() {
    let api = Api::start().await;
    let query = json!({ "query": "{ orders(first: 1) { nodes { id } } }" });
    for scope in ["orders:read", "stock:read", "orders:read"] {
        let token = api.token_with(&json!({ "scope": scope }));
        let (status, body) = sent(api.post_anonymously().bearer_auth(token).json(&query)).await;
        let expected = if scope == "orders:read" { 200 } else { 403 };
        assert_eq!(status, expected, "{scope}: {body:#}");
    }
}

#[tokio::test]
async fn an_import_needs_a_scope_of_its_own() {
    let api = Api::start().await;
    api.receive(&["MUG"], 10).await;
    let input = crate::support::without(crate::support::two_mugs("k"), "/paymentToken");
    let imported = json!({ "placedAt": "2011-12-09T12:50:00Z", "reference": "581587" });
    let input = crate::support::with(input, "/imported", imported);
    let body = json!({ "query": crate::support::ORDER_PLACE, "variables": { "input": input } });

    let token = api.token_with(&json!({ "scope": "orders:write" }));
    let (_, refused) = sent(api.post_anonymously().bearer_auth(token).json(&body)).await;
    assert_eq!(code(&refused), "FORBIDDEN", "{refused:#}");

    let (_, placed) = sent(api.post().json(&body)).await;
    let order = &placed["data"]["orderPlace"]["order"];
    assert_eq!(order["placedAt"], "2011-12-09T12:50:00+00:00", "{placed:#}");
    assert_eq!((&order["handling"], &order["reference"]), (&json!("ELSEWHERE"), &json!("581587")));
}
