"""SQLite: the embedded store, owned by one process, written by one thread."""
