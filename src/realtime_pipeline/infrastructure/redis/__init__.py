"""Cells and views in Redis or Valkey: a single server or a cluster. Functions check everything, then write."""
