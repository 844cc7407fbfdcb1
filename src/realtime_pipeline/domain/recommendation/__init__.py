"""Recommendations: candidates of several sources are scored, blended, ranked, re-ranked and explained."""
