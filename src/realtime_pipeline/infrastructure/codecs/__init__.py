"""Bytes to values and back: the only translation there is."""
