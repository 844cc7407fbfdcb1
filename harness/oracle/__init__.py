"""What every store must hold, computed from the whole log by a plain batch program."""
