"""Ports: what the use cases need from the world, each a contract that every adapter keeps."""
