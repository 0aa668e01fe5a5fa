//! Which SKUs are known to exist: positive answers only, so that nothing here can be wrong. A SKU
//! that was received once is known for ever.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use domain::ids::Sku;

/// SKUs that are remembered; about 100 bytes each.
const REMEMBERED: usize = 100_000;

/// The SKUs that were last found to exist.
#[derive(Debug, Default)]
pub(crate) struct KnownSkus(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    known: HashSet<Sku>,
    oldest_first: VecDeque<Sku>,
}

impl KnownSkus {
    /// Those of `skus` that nothing is known about.
    pub(crate) fn unknown_of<'a>(&self, skus: impl IntoIterator<Item = &'a Sku>) -> HashSet<Sku> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        skus.into_iter().filter(|sku| !memory.known.contains(*sku)).cloned().collect()
    }

    /// Remembers that `sku` exists.
    pub(crate) fn remember(&self, sku: &Sku) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !memory.known.insert(sku.clone()) {
            return;
        }
        memory.oldest_first.push_back(sku.clone());
        if memory.oldest_first.len() > REMEMBERED
            && let Some(oldest) = memory.oldest_first.pop_front()
        {
            memory.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let known = KnownSkus::default();
        let sku = |n: usize| Sku::new(format!("S-{n}")).unwrap();
        for n in 0..=REMEMBERED {
            known.remember(&sku(n));
        }
        assert_eq!(known.unknown_of([&sku(0), &sku(1), &sku(REMEMBERED)]), HashSet::from([sku(0)]));
    }
}
