"""What is known of one customer: an ordered fold over that customer's events."""
