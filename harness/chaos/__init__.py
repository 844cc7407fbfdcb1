"""Rounds of faults on real Kafka and Redis; after each, every store must be what the batch oracle makes of the log."""
