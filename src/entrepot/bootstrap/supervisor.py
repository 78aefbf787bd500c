"""`entrepot up`: one program that starts the database, the web, the worker and the world, restarts what dies and ends all of it with itself."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Final, Self

import structlog

from entrepot.base.errors import ConflictError, ForbiddenError
from entrepot.base.time import monotonic_s
from entrepot.bootstrap import launch
from entrepot.bootstrap.child import HEARTBEAT_VARIABLE
from entrepot.bootstrap.database import check_database
from entrepot.bootstrap.directory import locked_directory
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.postgres import Cluster, await_postgres, ensure_database, open_cluster, start_postgres, stop_postgres
from entrepot.bootstrap.processes import LOOPBACK, PROCESSES
from entrepot.bootstrap.settings import Settings, WorldMode, as_environment

_TICK_S: Final = 0.5
_PORT_PATIENCE_S: Final = 3.0
_STOP_PATIENCE_S: Final = 15
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 10.0
"""A child that lived longer than this was well: it is started again at once, however often others of its name died before."""
_SILENCE_S: Final = 120.0


class PortInUseError(ConflictError):
    """Another program listens on the port; stop it, or choose another port."""


class PortNotAllowedError(ForbiddenError):
    """The operating system keeps this port for root; choose another port."""


@dataclass(slots=True)
class Child:
    """A child process: how it is started, the one that runs, and how often it failed in a row."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class Heartbeats:
    """The pipe through which one child says that it lives, and when it last did."""

    reader: int
    writer: int
    heard_s: float = field(default_factory=monotonic_s)


class StopSignals:
    """SIGTERM, SIGINT and SIGHUP end the start at once and are a flag later; they and SIGCHLD are a reason to look around."""

    def __init__(self) -> None:
        self.is_started = False
        self.is_stopping = False
        self.reader, self._writer = open_pipe()

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.close(self.reader)
        os.close(self._writer)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True
        if not self.is_started:
            self.is_started = True  # a second signal must not interrupt the clearing up
            raise SystemExit(0)


def open_pipe() -> tuple[int, int]:
    """Return the reading and writing end of a pipe on which nobody waits."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer


def supervise(settings: Settings, announce: Callable[[Settings], None]) -> int:
    """Run everything until a signal says stop; raise before anything has started when it cannot work.

    `announce` is called once, with the settings in force, when the web answers.
    """
    with ExitStack() as stack:
        stack.enter_context(locked_directory(settings.data))
        settings = replace(settings, port=free_port(settings.port))
        signals = stack.enter_context(StopSignals())
        children: list[Child] = []
        stack.callback(_stop_all, children)
        if settings.database_url is None:
            cluster = open_cluster(settings.data)
            settings = replace(settings, database_url=cluster.url())
            _start_database(cluster, children)
        else:
            check_database(settings.database_url)
        upgrade(settings.database_url or "")
        beats = stack.enter_context(_heartbeats(settings))
        children += [_python_child(name, settings, beats[name]) for name in beats]
        structlog.get_logger(__name__).info("database_ready", port=settings.port, children=[child.name for child in children])
        signals.is_started = True
        while not signals.is_stopping and not _is_listening(settings.port):
            _watch(children, beats, signals)
        if not signals.is_stopping:
            announce(settings)
        while not signals.is_stopping:
            _watch(children, beats, signals)
    return 0


def free_port(port: int) -> int:
    """Return the port (a free one for 0) or raise `PortInUseError`; a child of a killed program gets a moment to let go of it."""
    until = monotonic_s() + _PORT_PATIENCE_S
    bound = _bind(port)
    while bound is None:
        if monotonic_s() > until:
            raise PortInUseError("port", port, "Stop the program that listens there, or give another --port.")
        time.sleep(0.1)
        bound = _bind(port)
    return bound


def _bind(port: int) -> int | None:
    """Return the port number that could be bound, or None where somebody listens."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            raise PortNotAllowedError("port", port, "Give a --port of 1024 or more.") from None
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _start_database(cluster: Cluster, children: list[Child]) -> None:
    """Start PostgreSQL and wait until it has recovered; later starts do not wait, the other children reconnect."""
    child = Child("postgres", lambda: start_postgres(cluster))
    children.append(child)
    await_postgres(cluster, _start(child))
    ensure_database(cluster)


@contextmanager
def _heartbeats(settings: Settings) -> Generator[dict[str, Heartbeats]]:
    """Open one pipe for each child that this installation runs."""
    names = [name for name in PROCESSES if name != "world" or settings.world is WorldMode.ON]
    beats = {name: Heartbeats(*open_pipe()) for name in names}
    try:
        yield beats
    finally:
        for beat in beats.values():
            os.close(beat.reader)
            os.close(beat.writer)


def _python_child(name: str, settings: Settings, beat: Heartbeats) -> Child:
    """Describe a child that is this program again, with a hidden command; when we die the kernel kills it at once."""
    tie = [sys.executable, "-I", "-S", str(Path(launch.__file__)), str(os.getpid()), str(int(signal.SIGKILL)), "-", "-"]
    command = [*tie, sys.executable, "-P", "-m", "entrepot.cli.main", f"_{name}"]
    environment: Mapping[str, str] = {**os.environ, **as_environment(settings), HEARTBEAT_VARIABLE: str(beat.writer)}

    def start() -> subprocess.Popen[bytes]:
        beat.heard_s = monotonic_s()
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[beat.writer], start_new_session=True)  # noqa: S603

    return Child(name, start)


def _start(child: Child) -> subprocess.Popen[bytes]:
    child.process = child.start()
    child.started_s = monotonic_s()
    return child.process


def _watch(children: list[Child], beats: Mapping[str, Heartbeats], signals: StopSignals) -> None:
    """Look after the children once, then listen to them until something happens, at most a moment."""
    for child in children:
        _tend(child, beats.get(child.name))
    readers = {beat.reader: beat for beat in beats.values()}
    ready, _, _ = select.select([signals.reader, *readers], [], [], _TICK_S)
    for reader in ready:
        os.read(reader, 4096)
        if reader in readers:
            readers[reader].heard_s = monotonic_s()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _tend(child: Child, beat: Heartbeats | None) -> None:
    """Look at one child: note its death, kill it when it has been silent too long, start it when it is due."""
    now_s = monotonic_s()
    log = structlog.get_logger(__name__)
    if child.process is None:
        if now_s >= child.due_s:
            _start(child)
    elif (status := child.process.poll()) is not None:
        child.failures = 1 if now_s - child.started_s > _STEADY_S else child.failures + 1
        pause_s = min(_FIRST_PAUSE_S * 2 ** (child.failures - 1), _LONGEST_PAUSE_S)
        log.error("child_died", child=child.name, status=status, restart_in_s=pause_s)
        child.process, child.due_s = None, now_s + pause_s
    elif beat is not None and now_s - beat.heard_s > _SILENCE_S:
        log.error("child_silent", child=child.name, silent_s=round(now_s - beat.heard_s))
        child.process.kill()


def _stop_all(children: list[Child]) -> None:
    """Stop the children that use the database, then the database."""
    running = [child.process for child in children if child.process is not None and child.name != "postgres"]
    for process in running:
        process.terminate()
    until = monotonic_s() + _STOP_PATIENCE_S
    for process in running:
        try:
            process.wait(max(until - monotonic_s(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for child in children:
        if child.name == "postgres" and child.process is not None:
            stop_postgres(child.process)
