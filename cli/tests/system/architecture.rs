//! Who may import whom, and which package has one owner. docs/ARCHITECTURE.md explains.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// A crate of ours and those of ours that it may import (tests may import more).
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("schemas", &["domain"]),
    ("journal", &["domain", "schemas"]),
    ("keyring", &["domain", "schemas", "journal"]),
    ("process-managers", &["domain", "schemas", "journal", "keyring"]),
    ("projector", &["domain", "schemas", "journal"]),
    ("api", &["domain", "schemas", "journal", "keyring", "projector"]),
    ("embedded-store", &[]),
    ("private-postgres", &[]),
    ("partner-simulator", &[]),
    (
        "cli",
        &[
            "domain",
            "schemas",
            "journal",
            "keyring",
            "process-managers",
            "projector",
            "api",
            "embedded-store",
            "private-postgres",
            "partner-simulator",
        ],
    ),
];

/// A package and the only crates of ours that may use it.
const OWNERS: [(&str, &[&str]); 15] = [
    ("eventstore", &["journal", "cli"]),
    ("aws-lc-rs", &["keyring", "embedded-store"]),
    ("sqlx", &["projector"]),
    ("zstd", &["projector"]),
    ("async-graphql", &["api"]),
    ("async-graphql-axum", &["api"]),
    ("axum", &["api", "partner-simulator", "embedded-store"]),
    ("jsonwebtoken", &["api"]),
    ("tonic", &["embedded-store"]),
    ("prost", &["embedded-store"]),
    ("rusqlite", &["embedded-store"]),
    ("reqwest", &["process-managers", "cli"]),
    ("anyhow", &["cli"]),
    ("tracing-subscriber", &["cli"]),
    ("mimalloc", &["cli"]),
];

/// Packages that `domain` must not reach: it is pure.
const NOT_IN_DOMAIN: [&str; 5] = ["tokio", "serde_json", "futures", "tracing", "rand"];

/// What each crate of ours depends on, outside its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names = |package: &Value| {
        let normal = package["dependencies"].as_array().unwrap().iter();
        let normal = normal.filter(|it| it["kind"].as_str() != Some("dev"));
        normal.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    packages.iter().map(|it| (it["name"].as_str().unwrap().to_owned(), names(it))).collect()
}

#[test]
fn crates_import_only_what_lies_below_them() {
    let dependencies = dependencies();
    let ours: BTreeSet<_> = MAY_IMPORT.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, allowed) in MAY_IMPORT {
        let used: BTreeSet<_> = dependencies[name].intersection(&ours).cloned().collect();
        let allowed: BTreeSet<_> = allowed.iter().map(|it| (*it).to_owned()).collect();
        let forbidden: Vec<_> = used.difference(&allowed).collect();
        assert!(forbidden.is_empty(), "{name} must not import {forbidden:?}");
    }
}

#[test]
fn every_crate_has_its_place_in_the_rules() {
    let known: BTreeSet<_> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    for name in dependencies().keys().filter(|name| *name != "bench") {
        assert!(known.contains(name.as_str()), "say in this test what {name} may import");
    }
}

#[test]
fn packages_stay_with_their_owners() {
    let dependencies = dependencies();
    for (package, owners) in OWNERS {
        for (name, used) in dependencies.iter().filter(|(name, _)| *name != "bench") {
            let is_owner = owners.contains(&name.as_str());
            assert!(is_owner || !used.contains(package), "{name} must not use {package}");
        }
    }
}

#[test]
fn the_domain_is_pure() {
    let used = &dependencies()["domain"];
    for package in NOT_IN_DOMAIN {
        assert!(!used.contains(package), "domain must not use {package}");
    }
}
