"""Everything in this process's memory: for tests, for trying things out, and as the plainest form of each port."""
