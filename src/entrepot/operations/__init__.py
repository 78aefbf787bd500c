"""Who does what: the operation models as pure declarations."""
