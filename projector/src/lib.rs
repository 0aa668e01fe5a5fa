//! Read models in Postgres: the only SQL in the workspace.
