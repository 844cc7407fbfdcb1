"""Adapters, one package a technology; only the container sees two of them at once."""
