"""People's way in: pages."""
