"""The `realtime-pipeline` command, one module a group of subcommands."""
