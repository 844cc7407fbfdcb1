"""What several parts of the harness share: console, files, the log, a run's environment."""
