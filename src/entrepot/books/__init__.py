"""Append-only double-entry books that every context posts to."""
