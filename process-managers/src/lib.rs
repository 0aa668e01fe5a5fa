//! Drives processes: every call to the outside world starts here.
