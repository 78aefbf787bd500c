"""The stock book: locations, availability and reservations."""
