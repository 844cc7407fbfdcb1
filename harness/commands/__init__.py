"""The subcommands of `python -m harness`, a module each."""
