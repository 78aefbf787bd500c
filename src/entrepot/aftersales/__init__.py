"""Returns, refunds, messages and merchant performance."""
