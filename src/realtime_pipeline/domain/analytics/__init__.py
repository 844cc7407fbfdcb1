"""Analytics as data: what is counted in windows of event time, and how."""
