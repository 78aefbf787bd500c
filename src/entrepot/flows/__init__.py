"""The only place where contexts meet: one file per story."""
