"""The query side: lists of products, profiles, and explanations, read from the stores that workers write."""
