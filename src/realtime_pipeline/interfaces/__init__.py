"""The interfaces that drive the pipeline: command lines; servers and dashboards would be here, too."""
