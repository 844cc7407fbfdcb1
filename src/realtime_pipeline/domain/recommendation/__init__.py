"""From a customer's session and everybody else's to products worth showing, each with its reason."""
