"""Mappings of public formats, a TOML file each, and how they are read."""
