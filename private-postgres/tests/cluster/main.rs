//! Rules of a private cluster, checked against the installed server.

mod crash;
mod lifecycle;
mod placement;
mod support;
