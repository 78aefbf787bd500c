"""A database to work on: the given one, the embedded one that already runs, or one started for this command only."""

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from entrepot.base.time import monotonic_s
from entrepot.bootstrap.database import check_database
from entrepot.bootstrap.directory import DirectoryInUseError, locked_directory
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.postgres import (
    Cluster,
    await_postgres,
    ensure_database,
    is_answering,
    open_cluster,
    socket_directory,
    socket_url,
    start_postgres,
    stop_postgres,
)
from entrepot.bootstrap.settings import Settings

_START_LIMIT_S: Final = 60


@contextmanager
def current_database(settings: Settings) -> Generator[str]:
    """Give the URL of this installation's database, migrated; an embedded one that is not running runs until the end of the block."""
    if settings.database_url is not None:
        check_database(settings.database_url)
        upgrade(settings.database_url)
        yield settings.database_url
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(locked_directory(settings.data))
        except DirectoryInUseError:
            yield _url_of_running(settings.data)
            return
        cluster = open_cluster(settings.data)
        stack.enter_context(running_cluster(cluster))
        upgrade(cluster.url())
        yield cluster.url()


def _url_of_running(data: Path) -> str:
    """Wait until the program that holds the directory has its database up, and return its URL."""
    url = socket_url(socket_directory(data))
    until = monotonic_s() + _START_LIMIT_S
    while not is_answering(url):
        if monotonic_s() > until:
            raise DirectoryInUseError(
                "data", str(data), "Another program holds it but its database does not answer: stop that program and try again."
            )
        time.sleep(0.1)
    return url


@contextmanager
def running_cluster(cluster: Cluster) -> Generator[None]:
    """Run the cluster's PostgreSQL with the product's database in it during the block."""
    process = start_postgres(cluster)
    try:
        await_postgres(cluster, process)
        ensure_database(cluster)
        yield
    finally:
        stop_postgres(process)
