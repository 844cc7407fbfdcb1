"""The ordered fold of a partition's records, its clock, and the effects it returns."""
