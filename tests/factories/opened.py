"""A filled database with its pages, as the tests of a module share them."""

import asyncio
from contextlib import contextmanager

from tests.factories.served import served
from tests.factories.shown_house import keep_keyring

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings


@contextmanager
def filled(cluster, name, fill):
    """Give the URL of a database of this name that was filled and committed; it is dropped afterwards."""
    name = f"{cluster.prefix}_{name}"
    url = cluster.clone(name)
    asyncio.run(fill(url))
    yield url
    cluster.drop(name)


@contextmanager
def filled_and_served(cluster, name, fill, directory):
    """Give the address of such a house, served by a process of its own."""
    with filled(cluster, name, fill) as url, served(url, keep_keyring(directory)) as address:
        yield address


def app_on(url, directory):
    """Return the application on a filled database, in this process."""
    return create_app(read_settings({"DATABASE_URL": url, "ENTREPOT_DATA": str(keep_keyring(directory)), "ENTREPOT_POOL_SIZE": "4"}))
