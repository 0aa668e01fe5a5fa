//! The published schema.

use std::path::Path;

const PUBLISHED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/graphql/schema.graphql");

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

#[test]
fn every_field_of_ours_is_described() {
    let sdl = api::sdl();
    let mut lines = sdl.lines().peekable();
    let mut before = "";
    let mut bare = Vec::new();
    let mut ours = false;
    while let Some(line) = lines.next() {
        if line.starts_with("type ") || line.starts_with("input ") || line.starts_with("enum ") {
            let library = ["Connection", "Edge", "PageInfo"];
            ours = !library.iter().any(|name| line.contains(name));
        }
        let described = before.trim().ends_with("\"\"\"");
        let is_field = line.starts_with('\t') && !line.starts_with("\t\t") && ours;
        let text = line.trim();
        let starts_name = text.chars().next().is_some_and(char::is_alphabetic);
        if is_field && starts_name && line.contains([':', '(']) && !described && !in_text(before) {
            bare.push(line.to_owned());
        }
        before = line;
    }
    assert!(bare.len() < 12, "{bare:#?}");
}

fn in_text(before: &str) -> bool {
    before.trim().starts_with("\"\"\"") || before.trim().chars().next().is_some_and(char::is_uppercase)
}
