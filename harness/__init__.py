"""The test harness: a simulated shop, replay of real files, the batch oracle, benchmarks and fault injection."""
