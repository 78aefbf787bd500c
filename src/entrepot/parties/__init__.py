"""Merchants, legal entities, buyers, identities, staff and their gates."""
