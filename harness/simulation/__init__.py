"""A simulated shop, and what it sells."""
