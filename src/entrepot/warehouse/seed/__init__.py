"""Seed rows of the warehouse."""
