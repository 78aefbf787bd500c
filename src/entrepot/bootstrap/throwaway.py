"""A database for one run of the world or of a measurement: fresh, migrated, gone afterwards."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.postgres import Cluster, Durability, open_cluster
from entrepot.bootstrap.running import running_cluster


@asynccontextmanager
async def throwaway_database() -> AsyncGenerator[str]:
    """Give the URL of a fresh, migrated database on an embedded cluster that ends with the block or with this process.

    Starting takes about two seconds and blocks the event loop; nothing in the database survives a crash of the machine.
    """
    with throwaway_cluster() as cluster:
        upgrade(cluster.url())
        yield cluster.url()


@contextmanager
def throwaway_cluster(durability: Durability = Durability.THROW_AWAY) -> Generator[Cluster]:
    """Run a new cluster during the block and remove all of it afterwards; with `KEEP` it writes as durably as an installation does."""
    directory = Path(tempfile.mkdtemp(prefix="entrepot-throwaway-"))
    try:
        directory.chmod(0o711)  # the database's account passes through; what is inside is closed to others
        cluster = open_cluster(directory, durability)
        with running_cluster(cluster):
            yield cluster
        shutil.rmtree(cluster.sockets, ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
