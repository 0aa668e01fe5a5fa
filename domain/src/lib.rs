//! The language and the rules of the order store: pure deciders.
