"""The adapters of each technology; one module a technology.

Each function imports the adapter that it makes, so that extras need not be installed unless they are chosen.
"""
