"""Events out: consumers of the log with positions of their own, which are kept where they write."""
