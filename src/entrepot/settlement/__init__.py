"""Tax decisions, fees, statements, reserves and payouts."""
