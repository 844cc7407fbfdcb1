"""The error that ends a command of the harness."""


class HarnessError(Exception):
    """The command cannot go on; the message says in one line why, and what to do."""
