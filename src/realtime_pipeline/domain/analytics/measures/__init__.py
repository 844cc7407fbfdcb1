"""Measures: what is counted of the events of a window, in small chunks that can be merged."""
