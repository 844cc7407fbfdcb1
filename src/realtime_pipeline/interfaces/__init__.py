"""Whoever drives the pipeline from outside: command lines now, servers and dashboards beside them."""
