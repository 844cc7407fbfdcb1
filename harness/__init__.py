"""The test harness: a simulated shop, replay of real files, the batch oracle, benchmarks and fault injection.

It is a tool of the source checkout: the installed library does not contain it, and does not need it.
"""
