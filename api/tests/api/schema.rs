//! The published schema.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::support::Api;

const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/graphql/schema.graphql");

#[test]
fn the_published_schema_is_the_one_that_is_served() {
    let (published, served) = (Path::new(PUBLISHED), api::sdl());
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(published.parent().unwrap()).unwrap();
        std::fs::write(published, &served).unwrap();
    }
    let published = std::fs::read_to_string(published).unwrap_or_default();
    assert!(published == served, "the schema has changed; if that is meant, test with BLESS=1");
}

#[test]
fn money_and_large_numbers_are_never_floats() {
    assert!(!api::sdl().contains("Float"), "a Float would round");
}

#[tokio::test]
async fn all_user_errors_can_be_asked_for_in_one_selection() {
    let api = Api::start().await;
    let query = r#"{ __type(name: "UserError") { possibleTypes { name fields {
        name type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
    } } } }"#;
    let errors = api.data(query, json!({})).await["__type"]["possibleTypes"].clone();
    let errors = errors.as_array().unwrap();
    assert!(errors.len() > 20, "{} errors", errors.len());
    let mut seen = BTreeMap::new();
    for error in errors {
        for field in error["fields"].as_array().unwrap() {
            let (first, known) = seen
                .entry(field["name"].as_str().unwrap())
                .or_insert((&error["name"], &field["type"]));
            let clash = format!("{} of {first} and of {}", field["name"], error["name"]);
            assert_eq!(**known, field["type"], "{clash}");
        }
    }
}

#[tokio::test]
async fn everything_in_it_is_described() {
    let api = Api::start().await;
    let query = "{ __schema { types {
        name description fields { name description } inputFields { name description }
        enumValues { name description }
    } } }";
    let schema = api.data(query, json!({})).await;
    let mut bare = Vec::new();
    for kind in schema["__schema"]["types"].as_array().unwrap() {
        let name = kind["name"].as_str().unwrap();
        // The words of the library and of GraphQL itself.
        if ["__", "Page", "ID"].iter().any(|start| name.starts_with(start))
            || ["Connection", "Edge"].iter().any(|end| name.ends_with(end))
        {
            continue;
        }
        let parts = ["fields", "inputFields", "enumValues"].map(|part| kind[part].as_array());
        let all = parts.into_iter().flatten().flatten();
        let undescribed = all.chain([kind]).filter(|one| one["description"].is_null());
        bare.extend(undescribed.map(|one| format!("{name}: {}", one["name"])));
    }
    assert_eq!(bare, [""; 0]);
}
