//! Who may do what: how connections are encrypted, how a caller is recognised and what it is let do.
//! All of it is off unless [`Options`](crate::Options) say otherwise.
//!
//! In reading order: [`action`] names what can be asked for; [`caller`] who asks, as its headers say;
//! [`policy`] and [`access_list`] are the rules, pure; [`passwords`] and [`users`] keep what callers
//! are recognised by; [`guard`] puts these together and has a [`memory`]; [`granted`] is about calls
//! that go on; [`setup`] makes a guard from the options; [`tls`] and [`development`] are about the
//! connection.

pub(crate) mod access_list;
pub(crate) mod action;
pub(crate) mod caller;
pub(crate) mod development;
pub(crate) mod granted;
pub(crate) mod guard;
mod memory;
pub(crate) mod passwords;
pub(crate) mod policy;
pub(crate) mod setup;
pub(crate) mod tls;
pub(crate) mod users;

pub(crate) use action::Action;
pub(crate) use granted::Granted;
pub(crate) use setup::Security;
