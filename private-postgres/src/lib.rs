//! A private PostgreSQL cluster over the installed server binaries.
