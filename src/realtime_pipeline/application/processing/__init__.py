"""The worker: polls the log, folds records, commits cells, and relays the outbox to views and outputs."""
