"""What all customers' events add up to: commutative merges, one module a projection."""
