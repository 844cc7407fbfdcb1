"""The shop, its streams and its recommendations: values and small decisions, from attrs and the standard library."""
