"""Benchmarks: what a second of CPU does, how soon events show, how fast lists come, what an outage costs."""
