"""The guided tour: one order in each operation model, followed to its buyer's door."""
