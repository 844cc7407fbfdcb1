"""SQLite adapters: log, store, outputs and dead letters in one file; the embedded default."""
