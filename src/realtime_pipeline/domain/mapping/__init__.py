"""How the records of a shop's own systems become events: definitions as data, and their compilation."""
