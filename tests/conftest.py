"""What every test may ask for: one throw-away PostgreSQL per run, a database per worker, a connection that is rolled back."""

import fcntl
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psycopg
import pytest
from psycopg import sql

from entrepot.base.sql import Conn
from entrepot.bootstrap.migrate import upgrade

KEEPER = Path(__file__).with_name("cluster_keeper.py")
START_LIMIT_S = 120


@dataclass(frozen=True)
class TestCluster:
    """A running PostgreSQL server with a template that holds every table."""

    __test__ = False
    server_url: str
    template: str
    prefix: str

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return with_database(self.server_url, database)

    def clone(self, name: str) -> str:
        """Create a database from the template and return its URL."""
        administer(self.server_url, "create database {} template {}", name, self.template)
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database with whoever is still connected."""
        administer(self.server_url, "drop database if exists {} with (force)", name)


def with_database(url: str, database: str) -> str:
    """Return the URL with another database name."""
    before, question, after = url.partition("?")
    return f"{before.rpartition('/')[0]}/{database}{question}{after}"


def administer(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start_keeper(directory: Path, users: Path) -> str:
    """Start the keeper apart from this worker, which may end before the others, and return the server's URL."""
    with Path(f"{directory}.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, str(KEEPER), str(directory), str(users)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    ready = directory / "url"
    until = time.monotonic() + START_LIMIT_S
    while not ready.exists():
        if keeper.poll() is not None or time.monotonic() > until:
            pytest.exit(f"The test database did not start:\n{Path(f'{directory}.log').read_text()[-2000:]}", returncode=3)
        time.sleep(0.02)
    keeper.returncode = 0  # it outlives us on purpose: without this, Popen warns about a child still running
    Path(f"{directory}.log").unlink(missing_ok=True)
    return ready.read_text()


def build_template(server_url: str, template: str) -> None:
    """Create the database that every other one is copied from, migrated; it gets its name when it is complete."""
    unfinished = f"{template}_new"
    administer(server_url, "drop database if exists {} with (force)", unfinished)
    administer(server_url, "create database {}", unfinished)
    upgrade(with_database(server_url, unfinished))
    administer(server_url, "alter database {} rename to {}", unfinished, template)


@contextmanager
def shared_server(run_root: Path, template: str) -> Iterator[str]:
    """Give the server of this run, started by whichever worker comes first, and keep it alive meanwhile."""
    given = os.environ.get("ENTREPOT_TEST_DATABASE_URL")
    users_path = Path(f"{run_root}.users")
    with users_path.open("ab") as users:
        with locked(Path(f"{run_root}.lock")):
            fcntl.flock(users, fcntl.LOCK_SH)
            ready = run_root / "url"
            server_url = given or (ready.read_text() if ready.exists() else start_keeper(run_root, users_path))
            if not has_database(server_url, template):
                build_template(server_url, template)
        yield server_url
        if given and is_last(users):
            administer(given, "drop database {}", template)
            users_path.unlink()


def is_last(users: BinaryIO) -> bool:
    """Tell whether every other worker has gone: a server that was given to us is left as clean as it was."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def has_database(server_url: str, name: str) -> bool:
    with psycopg.connect(server_url) as conn:
        return conn.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is not None


@pytest.fixture(scope="session")
def cluster() -> Iterator[TestCluster]:
    """The run's PostgreSQL."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:12]
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    run_root = Path(tempfile.gettempdir()) / f"entrepot-test-{os.getuid()}-{run}"
    template = f"entrepot_test_{run}"
    with shared_server(run_root, template) as server_url:
        yield TestCluster(server_url, template, f"{template}_{worker}")
    Path(f"{run_root}.lock").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def worker_database(cluster: TestCluster) -> Iterator[str]:
    """A database that this worker's rolled-back tests share: they see the tables and nothing else."""
    yield cluster.clone(cluster.prefix)
    cluster.drop(cluster.prefix)


_NUMBERS = itertools.count(1)


@pytest.fixture
def database(cluster: TestCluster) -> Iterator[str]:
    """URL of a fresh database for a test that commits."""
    name = f"{cluster.prefix}_{next(_NUMBERS)}"
    yield cluster.clone(name)
    cluster.drop(name)


@pytest.fixture
def empty_database(cluster: TestCluster) -> Iterator[str]:
    """URL of a database without tables, for the migrations."""
    name = f"{cluster.prefix}_{next(_NUMBERS)}"
    administer(cluster.server_url, "create database {}", name)
    yield cluster.url(name)
    cluster.drop(name)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio is the only event loop of the product."""
    return "asyncio"


@pytest.fixture
async def conn(worker_database: str, anyio_backend: str) -> AsyncIterator[Conn]:
    """A connection in a transaction that is rolled back."""
    async with await psycopg.AsyncConnection.connect(worker_database) as connection:
        yield connection
        await connection.rollback()
