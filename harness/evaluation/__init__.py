"""How good recommendations are: visits that are held back, models that guess how they go on, and how often they do."""
