"""Real servers on this machine, without containers: for tests, benchmarks and for trying things out."""
