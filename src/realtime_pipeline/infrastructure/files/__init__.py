"""Files as sources of events."""
