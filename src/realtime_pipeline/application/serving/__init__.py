"""The query side: lists, profiles and their explanations, read from stores that workers write."""
