"""The installation that is soaked: `entrepot up` with a database of its own, its processes to be killed, and what they complained about."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.processes import PROGRAM, child_name, children_of, command_of
from entrepot.bootstrap.postgres import socket_directory, socket_url
from entrepot.bootstrap.processes import LOOPBACK

OUT = Path(__file__).parent / "out" / "soak"
"""Where the logs of the last soak are kept."""
SERVER, WORKER, DATABASE, BACKEND = "server", "worker", "database", "backend"
_CHILDREN = {SERVER: "web", WORKER: "worker", DATABASE: "postgres"}
_START_LIMIT_S = 120
_STOP_LIMIT_S = 90
_POLL_S = 0.05
_SETTINGS = {"ENTREPOT_LOG_FORMAT": "json", "ENTREPOT_LOG_LEVEL": "warning", "ENTREPOT_MAIL": "log", "ENTREPOT_SPEED": "1"}


class SoakStuckError(Exception):
    """Something did not happen within its time; the soak has failed and says what it waited for."""


class Installation:
    """A data directory and the program that runs on it; whoever kills parts of it asks here for their numbers."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.url = socket_url(socket_directory(data))
        self.port = 0
        self.killed: Counter[str] = Counter()
        self.restarts = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the program and wait until it says where it is."""
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("ENTREPOT_")}
        command = [*PROGRAM, "up", "--data", str(self.data), "--port", str(self.port), "--no-world"]
        with (self.data / "up.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment | _SETTINGS, stdout=subprocess.PIPE, stderr=log, text=True)
        self._process = process
        assert process.stdout is not None
        watchdog = threading.Timer(_START_LIMIT_S, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if found is None:
            raise SoakStuckError(f"The program did not start: {line}{(self.data / 'up.log').read_text()}")
        self.port = int(found[1])

    @property
    def is_running(self) -> bool:
        """Tell whether the program has been started and not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int | None:
        """Stop the program as an operator does; return its exit status, None if it had to be killed."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()

    def keep_running(self) -> None:
        """Start the program again if it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            self.restarts += 1
            self.start()

    def find(self, kind: str, dice: random.Random) -> int | None:
        """Return a living process of a kind, None while there is none; of the database's backends any one that serves a client."""
        assert self._process is not None
        children = {_name(pid): pid for pid in children_of(self._process.pid)}
        if kind != BACKEND:
            return children.get(_CHILDREN[kind])
        backends = [pid for pid in children_of(children.get("postgres", 0)) if command_of(pid).startswith("postgres: entrepot entrepot ")]
        return dice.choice(sorted(backends)) if backends else None

    def kill(self, kind: str, dice: random.Random) -> None:
        """Kill a process of a kind with SIGKILL, as soon as there is one."""

        def has_killed() -> bool:
            self.keep_running()
            pid = self.find(kind, dice)
            return pid is not None and _kill(pid)

        wait_until(has_killed, f"a {kind} that could be killed")
        self.killed[kind] += 1

    def is_healthy(self) -> bool:
        """Tell whether the program answers, its database too, and its worker lives."""
        self.keep_running()
        try:
            with urlopen(f"http://{LOOPBACK}:{self.port}/health", timeout=5) as answer:
                return answer.status == 200 and self.find(WORKER, random.Random(0)) is not None  # noqa: S311 -- nothing is drawn
        except (URLError, OSError):
            return False

    def keep_logs(self, out: Path) -> None:
        """Copy the logs to where they outlive the installation."""
        out.mkdir(parents=True, exist_ok=True)
        for log in self.data.glob("*.log"):
            shutil.copyfile(log, out / log.name)

    def complaints(self) -> list[str]:
        """Return the lines of the logs that the kills do not explain."""
        program = (self.data / "up.log").read_text(errors="replace").splitlines()
        database = (self.data / "postgres.log").read_text(errors="replace").splitlines()
        return [line for line in program if is_complaint(line)] + [line for line in database if is_database_complaint(line)]


@contextmanager
def installed() -> Iterator[Installation]:
    """Give a new installation that runs until the end of the block, and remove all of it afterwards."""
    data = Path(tempfile.mkdtemp(prefix="entrepot-soak-"))
    data.chmod(0o711)  # the database's account passes through; what is inside is closed to others
    installation = Installation(data)
    try:
        installation.start()
        yield installation
    finally:
        if installation.is_running:
            installation.stop()
        installation.keep_logs(OUT)
        shutil.rmtree(socket_directory(data), ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)


def wait_until(is_so: Callable[[], bool], what: str, patience_s: float = 120) -> float:
    """Wait until something is so and return the seconds that took; raise when it takes too long."""
    began_s = time.monotonic()
    while not is_so():
        if time.monotonic() - began_s > patience_s:
            raise SoakStuckError(f"Waited {patience_s:.0f} s in vain for {what}.")
        time.sleep(_POLL_S)
    return time.monotonic() - began_s


def _name(pid: int) -> str:
    """Return which child of the supervisor a process is; nothing for one that has ended or is not yet what it will be."""
    return child_name(pid) or Path(command_of(pid).split("\0", 1)[0]).name


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


# -- logs ------------------------------------------------------------------------------------------------------------

_SERIOUS = frozenset({"error", "critical"})
_DATABASE_COMPLAINT = re.compile(r"\] (ERROR|FATAL|PANIC):|deadlock")
_AFTER_KILLS = re.compile(
    r"the database system is (starting up|in recovery mode|shutting down|not yet accepting connections)"
    r"|terminating (connection|autovacuum process|background worker \"[^\"]*\") (because of crash of another server process|due to administrator command"
    r"|due to unexpected postmaster exit)"
    r"|connection to client lost|could not send data to client"
)


def is_complaint(line: str) -> bool:
    """Tell whether a line of the program's log is an error that no kill explains: a child was killed, or the database is long away."""
    try:
        told: Any = json.loads(line)
    except json.JSONDecodeError:
        return bool(line.strip())  # a traceback, or a library that prints
    if not isinstance(told, dict) or "level" not in told:
        return True
    was_killed = told.get("event") == "child_died" and told.get("status") == -signal.SIGKILL
    waits_for_database = told.get("event") == "telling_failed" and "DatabaseUnreachableError" in str(told.get("exception"))
    return told["level"] in _SERIOUS and not was_killed and not waits_for_database


def is_database_complaint(line: str) -> bool:
    """Tell whether a line of the database's log is an error that no kill explains."""
    return _DATABASE_COMPLAINT.search(line) is not None and _AFTER_KILLS.search(line) is None
