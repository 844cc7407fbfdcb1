"""Each technology's adapters, made of the container's parts; one module a technology.

The adapters are imported in the functions that make them, so that what is not chosen need not be installed.
"""
