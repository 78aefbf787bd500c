"""Checkouts, orders, lines, allocations, promises and payments."""
