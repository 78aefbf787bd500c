"""Products, stock items, offers and marketplaces."""
