"""The shop: its events, products, orders, reviews and money."""
