"""Events in: what callers publish is checked, encoded and appended to the log."""
