"""The merchant's pages: what is due, orders, messages, money, listings, stock and settings, each of the session's own merchant only."""
