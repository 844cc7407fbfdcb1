"""A simulated shop and its assortment."""
