"""The embedded PostgreSQL: a process of our own on a directory of our own, reached through a socket that nobody else can open."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from msgspec import Struct
from psycopg import sql

from entrepot.base.errors import UnavailableError
from entrepot.base.time import monotonic_s
from entrepot.bootstrap import launch
from entrepot.bootstrap.account import (
    Account,
    account_of,
    give_directory,
    give_tree,
    initialising_account,
    is_root,
    make_directory,
    require_reachable,
)
from entrepot.bootstrap.binaries import postgres_programs

DATABASE_USER: Final = "entrepot"
DATABASE_NAME: Final = "entrepot"
MAJOR_VERSION: Final = "18"
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH: Final = 107
_FAST_SHUTDOWN: Final = signal.SIGINT
_POLL_S: Final = 0.02

COMMON_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "logging_collector": "off",
    "log_line_prefix": "'%m [%p] '",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "autovacuum_naptime": "15s",
}
THROWAWAY_SETTINGS: Final[Mapping[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "10s",
}


class PostgresDidNotStartError(UnavailableError):
    """The embedded PostgreSQL ended instead of starting; the operator reads its log."""


class ClusterVersionError(UnavailableError):
    """The data directory was written by another major version of PostgreSQL; the operator moves the data with pg_dump."""


class Durability(StrEnum):
    """Whether a crash of the machine may lose what was committed."""

    KEEP = "keep"
    THROW_AWAY = "throw_away"


class Cluster(Struct, frozen=True):
    """A PostgreSQL data directory with its socket, log, programs and owner."""

    directory: Path
    programs: Path
    account: Account
    sockets: Path
    durability: Durability

    @property
    def data(self) -> Path:
        """Return the directory of PostgreSQL's own files."""
        return self.directory / "postgres"

    @property
    def log(self) -> Path:
        """Return the file that PostgreSQL's messages are appended to."""
        return self.directory / "postgres.log"

    def url(self, database: str = DATABASE_NAME) -> str:
        """Return the connection URL of a database of this cluster."""
        return socket_url(self.sockets, database)


def socket_url(sockets: Path, database: str = DATABASE_NAME) -> str:
    """Return the connection URL of a database behind a socket directory."""
    return f"postgresql://{DATABASE_USER}@/{quote(database)}?host={quote(str(sockets), safe='')}"


def open_cluster(directory: Path, durability: Durability = Durability.KEEP) -> Cluster:
    """Prepare the directory: programs, owner, socket directory, and a new cluster if there is none. Nothing runs yet."""
    directory = directory.absolute()
    make_directory(directory)
    account = account_of(directory / "postgres")
    if is_root():
        require_reachable(directory / "postgres", account)
    sockets = socket_directory(directory)
    give_directory(sockets, account)
    cluster = Cluster(directory, postgres_programs(), account, sockets, durability)
    _initialise(cluster)
    _write_settings(cluster)
    return cluster


def socket_directory(directory: Path) -> Path:
    """Return `run` in the directory, or a short path derived from it where the kernel could not take the long one."""
    beside = directory / "run"
    if len(os.fsencode(beside / _SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
        return beside
    return Path("/tmp") / f"entrepot-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"  # noqa: S108 -- 0700 and its owner is checked


def _initialise(cluster: Cluster) -> None:
    """Run `initdb` beside the final place and rename, so that a kill leaves no half cluster."""
    version_file = cluster.data / "PG_VERSION"
    if version_file.exists():
        found = version_file.read_text().strip()
        if found != MAJOR_VERSION:
            raise ClusterVersionError(
                "data", f"PostgreSQL {found}", f"Dump it with PostgreSQL {found} and restore it here (PostgreSQL {MAJOR_VERSION})."
            )
        return
    unfinished = cluster.directory / "postgres.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    initialiser = initialising_account(cluster.account)
    give_directory(unfinished, initialiser)
    command = [str(cluster.programs / "initdb"), f"--pgdata={unfinished}", f"--username={DATABASE_USER}", "--auth=trust", "--encoding=UTF8"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
    if cluster.durability is Durability.THROW_AWAY:
        command.append("--no-sync")
    done = subprocess.run(_launched(command, initialiser), cwd="/", env=_environment(), check=False, capture_output=True, text=True)  # noqa: S603 -- our own programs
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise PostgresDidNotStartError("initdb", done.stderr.strip()[-400:], "See that the directory is writable and has space.")
    if initialiser != cluster.account:
        give_tree(unfinished, cluster.account)
    if cluster.data.exists():
        cluster.data.rmdir()
    unfinished.rename(cluster.data)


def _write_settings(cluster: Cluster) -> None:
    """Write our settings at every start; what an operator sets with ALTER SYSTEM still wins over them."""
    settings = {**COMMON_SETTINGS, **(THROWAWAY_SETTINGS if cluster.durability is Durability.THROW_AWAY else {})}
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    target = cluster.data / "postgresql.conf"
    target.write_text(f"# Written by Entrepot at every start; use ALTER SYSTEM for settings of your own.\n{text}")
    if is_root():
        os.chown(target, cluster.account.uid, cluster.account.gid)


def _environment() -> dict[str, str]:
    """Return an environment without the caller's PG* variables and locale."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _launched(command: list[str], account: Account, death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the command run through `launch.py`, as the account when we are root."""
    user = [str(account.uid), str(account.gid)] if is_root() else ["-", "-"]
    return [sys.executable, "-I", "-S", str(Path(launch.__file__)), str(os.getpid()), str(int(death_signal)), *user, *command]


def start_postgres(cluster: Cluster) -> subprocess.Popen[bytes]:
    """Start PostgreSQL as a child that ends with this process, after whatever still runs on the directory has been stopped."""
    stop_orphans(cluster)
    command = [str(cluster.programs / "postgres"), "-D", str(cluster.data), "-c", f"unix_socket_directories={cluster.sockets}"]
    with cluster.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 -- our own programs
            _launched(command, cluster.account, _FAST_SHUTDOWN),
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def await_postgres(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    """Wait until PostgreSQL answers, however long crash recovery takes; raise if the process ends."""
    while not is_answering(cluster.url("postgres")):
        if process.poll() is not None:
            raise PostgresDidNotStartError("postgres", _last_lines(cluster.log), f"Read {cluster.log}.")
        time.sleep(_POLL_S)


def is_answering(url: str) -> bool:
    """Tell whether PostgreSQL accepts connections; during crash recovery it does not yet."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else ""


def stop_postgres(process: subprocess.Popen[bytes]) -> None:
    """Stop PostgreSQL: orderly within 60 seconds, else at once (the next start recovers)."""
    for number, patience_s in ((_FAST_SHUTDOWN, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return


def ensure_database(cluster: Cluster, name: str = DATABASE_NAME) -> None:
    """Create a database of this name if the cluster has none."""
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as conn:
        if conn.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is None:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def stop_orphans(cluster: Cluster) -> None:
    """Stop a PostgreSQL that outlived the program that started it, and remove what a killed one left behind.

    The caller holds the lock of the directory, so nobody else can have started it on purpose.
    """
    pid_file = cluster.data / "postmaster.pid"
    main_pid = _first_number(pid_file)
    for number, patience_s in ((_FAST_SHUTDOWN, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        running = _processes_on(cluster.data, main_pid)
        if not running:
            break
        # without its main process the others leave by themselves: only the main one is asked
        for pid in running if number is not _FAST_SHUTDOWN else [pid for pid in running if pid == main_pid]:
            _signal(pid, number)
        _await_end(cluster.data, main_pid, patience_s if main_pid in running else 5)
    for leftover in (pid_file, cluster.sockets / _SOCKET_NAME, cluster.sockets / f"{_SOCKET_NAME}.lock"):
        leftover.unlink(missing_ok=True)


def _await_end(data: Path, main_pid: int | None, patience_s: float) -> None:
    until = monotonic_s() + patience_s
    while _processes_on(data, main_pid) and monotonic_s() < until:
        time.sleep(_POLL_S)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _first_number(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _processes_on(data: Path, main_pid: int | None) -> list[int]:
    """Return the living PostgreSQL processes whose working directory is `data`; a zombie or a stranger with the old number is none."""
    if not Path("/proc/self/cwd").exists():
        return [main_pid] if main_pid is not None and _names_directory(main_pid, data) else []
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _works_in(entry, data)]


def _works_in(process: Path, data: Path) -> bool:
    try:
        inside = (process / "cwd").readlink() == data.resolve()
        is_postgres = (process / "comm").read_text().startswith("postgres")
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # it ended while we looked, or it belongs to somebody else
        return False
    return inside and is_postgres and state not in {"Z", "X"}


def _names_directory(pid: int, data: Path) -> bool:
    """Ask `ps` where there is no /proc."""
    done = subprocess.run(["/bin/ps", "-o", "stat=,command=", "-p", str(pid)], check=False, capture_output=True, text=True)  # noqa: S603 -- a number only
    return str(data) in done.stdout and not done.stdout.strip().startswith("Z")
