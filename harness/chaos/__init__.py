"""Rounds of faults on real Kafka and Redis; after each round, every store must equal what the batch oracle computes."""
