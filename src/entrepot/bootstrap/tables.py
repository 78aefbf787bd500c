"""All tables of the product: every package's `tables.py` is imported, so that none is forgotten in a migration or a test."""

import pkgutil
from importlib import import_module

from sqlalchemy import MetaData

import entrepot
from entrepot.base.tables import METADATA


def all_tables() -> MetaData:
    """Return the metadata with the tables of every package in it."""
    for module in pkgutil.walk_packages(entrepot.__path__, "entrepot."):
        if module.name.endswith(".tables") and not module.name.startswith("entrepot.bootstrap."):
            import_module(module.name)
    return METADATA
