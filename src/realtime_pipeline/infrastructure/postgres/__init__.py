"""Postgres adapters: the changes of tables as a source."""
