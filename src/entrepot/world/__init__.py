"""The living world: seeded actors who use the same flows under a virtual clock."""
