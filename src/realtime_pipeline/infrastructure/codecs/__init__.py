"""Codecs: encoding domain values as bytes, and decoding and validating them."""
