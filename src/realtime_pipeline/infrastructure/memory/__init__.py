"""Adapters that keep everything in this process's memory: for tests and trials; the plainest form of each port."""
