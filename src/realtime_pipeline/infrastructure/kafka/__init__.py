"""Kafka adapters: the event log, its publisher, the outputs, the dead letters and the topics."""
