"""Compare what a store holds with what the oracle says it must hold."""
