"""Use cases: what the program does, each a verb, between ports."""
