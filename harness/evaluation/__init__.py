"""Models from the literature to compare the served model with, and visits read from files."""
