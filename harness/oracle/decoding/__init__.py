"""The oracle's own reader of records, written from docs/events.md: it shares values with the pipeline, and no code."""
