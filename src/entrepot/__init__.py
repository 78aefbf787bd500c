"""Entrepot: the open-source operating system of a cross-border marketplace."""
