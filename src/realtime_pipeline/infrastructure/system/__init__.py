"""Adapters of the operating system: clock, threads, garbage collector."""
