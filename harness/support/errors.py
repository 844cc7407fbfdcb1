"""What the harness says when it cannot go on."""


class HarnessError(Exception):
    """Tell the person at the command line, in one line, what is wrong."""
