"""Benchmarks: throughput of workers, freshness, latency of lists, file sizes, and recovery after an outage."""
