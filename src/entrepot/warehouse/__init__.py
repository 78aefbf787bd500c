"""The floor of a warehouse: what arrives, lies, leaves and comes back, as documents and work."""
