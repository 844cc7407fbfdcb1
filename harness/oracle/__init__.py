"""What every store must hold, computed from the whole log by a plain batch program.

Modules have the names of the modules in `realtime_pipeline.domain` that compute the same, so that the two can be read
side by side. They share values (events, customers, settings) and no code.
"""
