"""The embedded PostgreSQL on its own: starts, recovers, takes over, and refuses in words."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from entrepot.bootstrap.account import DirectoryNotReachableError, ForeignDirectoryError, account_of, is_root
from entrepot.bootstrap.directory import DirectoryInUseError, DirectoryNotWritableError, locked_directory
from entrepot.bootstrap.postgres import (
    Cluster,
    ClusterVersionError,
    PostgresDidNotStartError,
    await_postgres,
    ensure_database,
    is_answering,
    open_cluster,
    socket_directory,
    start_postgres,
    stop_orphans,
    stop_postgres,
)


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="entrepot-store-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def started(cluster: Cluster) -> subprocess.Popen[bytes]:
    process = start_postgres(cluster)
    await_postgres(cluster, process)
    return process


def test_starts_recovers_and_takes_over(directory: Path) -> None:
    cluster = open_cluster(directory)
    first = started(cluster)
    ensure_database(cluster)
    ensure_database(cluster)
    with psycopg.connect(cluster.url()) as conn:
        locale = conn.execute("select datlocprovider, datlocale, pg_encoding_to_char(encoding) from pg_database where datname = current_database()")
        assert locale.fetchone() == ("b", "C.UTF-8", "UTF8")
        assert conn.execute("select current_setting('fsync'), current_setting('listen_addresses')").fetchone() == ("on", "")
        conn.execute("create extension pg_trgm")
        conn.execute("create extension btree_gist")
        conn.execute("create table kept (value int)")
        conn.execute("insert into kept values (1)")

    first.kill()
    first.wait()
    second = started(open_cluster(directory))
    assert kept(cluster) == [1]

    third = started(open_cluster(directory))  # the second still runs, as after the death of the program that started it
    assert second.wait() == 0
    assert kept(cluster) == [1]
    stop_postgres(third)
    assert third.returncode == 0
    assert not is_answering(cluster.url())
    assert "database system was not properly shut down; automatic recovery in progress" in cluster.log.read_text()


def kept(cluster: Cluster) -> list[int]:
    with psycopg.connect(cluster.url()) as conn:
        return [row[0] for row in conn.execute("select value from kept")]


def test_stale_pid_file_that_names_a_stranger(directory: Path) -> None:
    """After a restart of the machine the old number may be anybody's: it must neither block the start nor be killed."""
    cluster = open_cluster(directory)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        lines = f"{stranger.pid}\n{cluster.data}\n0\n5432\n{cluster.sockets}\n\n"
        (cluster.data / "postmaster.pid").write_text(lines)
        (cluster.sockets / ".s.PGSQL.5432.lock").write_text(lines)
        process = started(cluster)
        assert stranger.poll() is None
        stop_postgres(process)
        stranger.communicate(b"\n")


def test_zombie_is_not_taken_for_alive(directory: Path) -> None:
    cluster = open_cluster(directory)
    process = started(cluster)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but nobody has collected it
    assert (cluster.data / "postmaster.pid").exists()
    again = started(cluster)
    stop_postgres(again)
    process.wait()


def test_nothing_to_stop(directory: Path) -> None:
    stop_orphans(open_cluster(directory))
    assert list((directory / "run").iterdir()) == []


def test_half_initialised_directory_is_begun_anew(directory: Path) -> None:
    (directory / "postgres.new").mkdir()
    (directory / "postgres.new" / "PG_VERSION").write_text("18\n")
    stop_postgres(started(open_cluster(directory)))


def test_other_major_version(directory: Path) -> None:
    cluster = open_cluster(directory)
    (cluster.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(ClusterVersionError, match="PostgreSQL 17"):
        open_cluster(directory)


def test_database_that_cannot_start(directory: Path) -> None:
    cluster = open_cluster(directory)
    shutil.rmtree(cluster.data / "global")
    process = start_postgres(cluster)
    with pytest.raises(PostgresDidNotStartError, match=r"postgres\.log"):
        await_postgres(cluster, process)


def test_long_path_gets_a_short_socket(directory: Path) -> None:
    deep = directory / ("long" * 20) / ("path" * 10)
    assert len(os.fsencode(socket_directory(deep) / ".s.PGSQL.5432")) <= 107
    cluster = open_cluster(deep)
    try:
        assert cluster.sockets.stat().st_mode & 0o777 == 0o700
        stop_postgres(started(cluster))
    finally:
        cluster.sockets.rmdir()


def test_strict_file_mask_of_root_does_not_lock_the_account_out(directory: Path) -> None:
    mask = os.umask(0o077)
    try:
        with locked_directory(directory / "made" / "below"):
            stop_postgres(started(open_cluster(directory / "made" / "below")))
    finally:
        os.umask(mask)


def test_one_program_at_a_time(directory: Path) -> None:
    with locked_directory(directory), pytest.raises(DirectoryInUseError, match=str(os.getpid())), locked_directory(directory):
        pytest.fail("two programs hold the directory")
    with locked_directory(directory):
        pass


def test_directory_that_cannot_be_made(directory: Path) -> None:
    (directory / "file").write_text("")
    with pytest.raises(DirectoryNotWritableError), locked_directory(directory / "file" / "below"):
        pytest.fail("locked a directory inside a file")


def test_directory_of_somebody_else(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrepot.bootstrap.account.os.geteuid", lambda: 54_321)
    with pytest.raises(ForeignDirectoryError):
        account_of(directory)


def test_as_root_the_database_has_no_rights(directory: Path) -> None:
    cluster = open_cluster(directory)
    process = started(cluster)
    owner = Path(f"/proc/{process.pid}").stat().st_uid
    assert owner == cluster.data.stat().st_uid == (cluster.account.uid if is_root() else os.geteuid())
    assert owner != 0
    stop_postgres(process)


def test_closed_parent_is_refused_as_root(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    if is_root():
        with pytest.raises(DirectoryNotReachableError, match="closed"):
            open_cluster(closed / "data")
        assert not (closed / "data" / "postgres").exists()
    else:
        assert open_cluster(closed / "data").data.exists()


def test_dies_with_the_program_that_started_it(directory: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom entrepot.bootstrap.postgres import *\n"
        "c = open_cluster(Path(sys.argv[1])); p = start_postgres(c); await_postgres(c, p); print(p.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        handle = os.pidfd_open(pid)
        parent.kill()
    ended, _, _ = select.select([handle], [], [], 60)
    os.close(handle)
    assert ended == [handle]
    assert not is_answering(open_cluster(directory).url("postgres"))
