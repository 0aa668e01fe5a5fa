//! How much a document asks for, before anything is done about it.
//!
//! The library walks a fragment once per spread, so a short document of fragments that spread
//! fragments keeps a core busy for minutes, and no time limit cuts a loop that never waits. Here
//! every fragment is counted once and its count added up.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::Positioned;
use async_graphql::parser::types::{
    ExecutableDocument, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
};

/// Fields after all fragments are put in. The introspection query of common explorers has some 250.
pub(super) const MAX_FIELDS: u64 = 1_500;
/// Fields under another name than their own.
pub(super) const MAX_ALIASES: u64 = 60;
/// Operations in one document, and fields in the root of one.
pub(super) const MAX_ROOT_FIELDS: usize = 20;
/// Selections in selections, through fragments as well.
const MAX_NESTING: usize = 50;

/// Why a document is not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooExpensive {
    /// Too much is asked for at once.
    #[error("the query asks for {found} {what}, at most {max} are allowed; ask for less at once")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How much.
        found: u64,
        /// How much may be.
        max: u64,
    },
    /// Fragments in fragments in fragments, or in themselves.
    #[error(
        "the query is nested more than {MAX_NESTING} deep, or one of its fragments contains itself"
    )]
    TooDeep,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    fields: u64,
    aliases: u64,
}

impl Cost {
    fn plus(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            aliases: self.aliases.saturating_add(other.aliases),
        }
    }
}

/// Refuses a document that asks for too much.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), TooExpensive> {
    let mut walk = Walk { document, known: HashMap::new() };
    let mut whole = Cost::default();
    let operations = document.operations.iter().count();
    too_many("operations", operations as u64, MAX_ROOT_FIELDS as u64)?;
    for (_, operation) in document.operations.iter() {
        whole = whole.plus(walk.selections(&operation.node.selection_set.node, 0)?);
    }
    // A fragment that nobody spreads is still looked at by the library.
    for name in document.fragments.keys() {
        walk.fragment(name, 0)?;
    }
    too_many("fields", whole.fields, MAX_FIELDS)?;
    too_many("aliases", whole.aliases, MAX_ALIASES)?;
    for (_, operation) in document.operations.iter() {
        let roots = root_fields(document, &operation.node).len();
        too_many("fields at its root", roots as u64, MAX_ROOT_FIELDS as u64)?;
    }
    Ok(())
}

/// The root fields of `operation`, by their own names. Only for a document that [`check`] accepts.
pub(super) fn root_fields<'a>(
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
) -> Vec<&'a str> {
    let mut fields = Vec::new();
    let mut open = vec![&operation.selection_set.node];
    while let Some(selections) = open.pop() {
        for selection in &selections.items {
            match &selection.node {
                Selection::Field(field) => fields.push(field.node.name.node.as_str()),
                Selection::InlineFragment(inline) => open.push(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let fragment = document.fragments.get(&spread.node.fragment_name.node);
                    open.extend(fragment.map(|fragment| &fragment.node.selection_set.node));
                }
            }
        }
    }
    fields
}

fn too_many(what: &'static str, found: u64, max: u64) -> Result<(), TooExpensive> {
    if found > max { Err(TooExpensive::TooMany { what, found, max }) } else { Ok(()) }
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    known: HashMap<&'a Name, Cost>,
}

impl<'a> Walk<'a> {
    fn selections(&mut self, set: &'a SelectionSet, depth: usize) -> Result<Cost, TooExpensive> {
        if depth > MAX_NESTING {
            return Err(TooExpensive::TooDeep);
        }
        let mut sum = Cost::default();
        for selection in &set.items {
            sum = sum.plus(match &selection.node {
                Selection::Field(field) => {
                    let below = self.selections(&field.node.selection_set.node, depth + 1)?;
                    let aliases = u64::from(field.node.alias.is_some());
                    below.plus(Cost { fields: 1, aliases })
                }
                Selection::InlineFragment(inline) => {
                    self.selections(&inline.node.selection_set.node, depth + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, depth)?
                }
            });
        }
        Ok(sum)
    }

    /// A fragment that contains itself never ends, and so is too deep.
    fn fragment(&mut self, name: &'a Name, depth: usize) -> Result<Cost, TooExpensive> {
        if let Some(&cost) = self.known.get(name) {
            return Ok(cost);
        }
        let Some(fragment) = self.definition(name) else { return Ok(Cost::default()) };
        let cost = self.selections(&fragment.node.selection_set.node, depth + 1)?;
        self.known.insert(name, cost);
        Ok(cost)
    }

    fn definition(&self, name: &Name) -> Option<&'a Positioned<FragmentDefinition>> {
        self.document.fragments.get(name)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use async_graphql::parser::parse_query;

    use super::*;

    fn checked(query: &str) -> Result<(), TooExpensive> {
        check(&parse_query(query).unwrap())
    }

    #[test]
    fn an_ordinary_query_is_let_through() {
        let query = "query($id: UUID!) { order(id: $id) { ...o } } fragment o on Order { id }";
        assert_eq!(checked(query), Ok(()));
    }

    #[test]
    fn fragments_that_double_each_other_are_counted_not_walked() {
        let mut query = "query { ...f0 } ".to_owned();
        for n in 0..40 {
            write!(query, "fragment f{n} on Query {{ ...f{} ...f{} }} ", n + 1, n + 1).unwrap();
        }
        query += "fragment f40 on Query { __typename }";
        assert!(matches!(checked(&query), Err(TooExpensive::TooMany { what: "fields", .. })));
    }

    #[test]
    fn a_fragment_in_itself_and_a_long_chain_are_too_deep() {
        let own = "query { ...f } fragment f on Query { ...f }";
        assert_eq!(checked(own), Err(TooExpensive::TooDeep));
        let mut chain = "query { ...f0 } ".to_owned();
        for n in 0..5_000 {
            write!(chain, "fragment f{n} on Query {{ ...f{} }} ", n + 1).unwrap();
        }
        assert_eq!(checked(&chain), Err(TooExpensive::TooDeep));
    }

    #[test]
    fn aliases_root_fields_and_operations_are_limited() {
        let many = |count: usize, each: fn(usize) -> String| -> String {
            (0..count).map(each).collect::<Vec<_>>().join(" ")
        };
        let aliases = format!("{{ order {{ {} }} }}", many(61, |n| format!("a{n}: id")));
        assert!(matches!(checked(&aliases), Err(TooExpensive::TooMany { what: "aliases", .. })));
        let roots = format!("{{ {} }}", many(21, |_| "__typename".to_owned()));
        let refused = checked(&roots);
        assert!(matches!(refused, Err(TooExpensive::TooMany { what: "fields at its root", .. })));
        let operations = many(21, |n| format!("query q{n} {{ __typename }}"));
        let refused = checked(&operations);
        assert!(matches!(refused, Err(TooExpensive::TooMany { what: "operations", .. })));
    }

    #[test]
    fn root_fields_are_found_through_fragments() {
        let query = "{ ...f ... on Query { a: orders { id } } } fragment f on Query { stock }";
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut fields = root_fields(&document, &operation.node);
        fields.sort_unstable();
        assert_eq!(fields, ["orders", "stock"]);
    }
}
