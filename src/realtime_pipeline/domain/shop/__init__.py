"""What a shop is made of: events, customers, sessions, orders, reviews, products and money."""
