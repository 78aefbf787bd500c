"""The program under test as real processes, and what each of them has used of the processor and of memory (Linux, /proc)."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from entrepot.bootstrap.postgres import Cluster

PROGRAM = [sys.executable, "-P", "-m", "entrepot.cli.main"]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 60

Read = TypeVar("Read")


@dataclass(frozen=True)
class Running:
    """An `entrepot up` that answers, and the database that it works on."""

    port: int
    web: int
    worker: int
    postgres: int
    url: str


@dataclass(frozen=True)
class Used:
    """Seconds of processor time that each part has used since it began, and the whole machine since it booted."""

    server: float
    worker: float
    database: float
    machine: float

    def since(self, before: "Used") -> "Used":
        """Return what was used after an earlier reading."""
        parts = ("server", "worker", "database", "machine")
        return Used(*(getattr(self, part) - getattr(before, part) for part in parts))


@contextmanager
def running(cluster: Cluster, data: Path) -> Iterator[Running]:
    """Run web and worker on a cluster's database until the end of the block; what they log goes to `up.log` in the data directory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    environment |= {"DATABASE_URL": cluster.url(), "ENTREPOT_LOG_FORMAT": "json", "ENTREPOT_LOG_LEVEL": "warning"}
    environment["ENTREPOT_SECOND_FACTOR"] = "free"  # the operators here are programs
    command = [*PROGRAM, "up", "--data", str(data), "--port", "0", "--no-world"]
    with (data / "up.log").open("ab") as log, subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            if found is None:
                raise SystemExit(f"The program did not start: {line}{(data / 'up.log').read_text()}")
            children = {child_name(pid): pid for pid in children_of(process.pid)}
            yield Running(int(found[1]), children["web"], children["worker"], main_process(cluster), cluster.url())
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)


def main_process(cluster: Cluster) -> int:
    """Return the process whose children are all of a cluster's processes."""
    return int((cluster.data / "postmaster.pid").read_text().split()[0])


def child_name(pid: int) -> str:
    """Return which child of the supervisor a process is, nothing for the database or for one that has gone."""
    return next((word[1:] for word in command_of(pid).split("\0") if word in {"_web", "_worker"}), "")


def command_of(pid: int) -> str:
    """Return the command line of a process, its words parted by zero bytes; nothing for one that has gone."""
    return _read(Path(f"/proc/{pid}/cmdline"), lambda path: path.read_bytes().decode(errors="replace"), "")


def children_of(pid: int) -> list[int]:
    """Return the living children of all threads of a process."""
    found: list[int] = []
    for thread in _read(Path(f"/proc/{pid}/task"), lambda path: [one.name for one in path.iterdir()], []):
        found += map(int, _read(Path(f"/proc/{pid}/task/{thread}/children"), lambda path: path.read_text().split(), []))
    return found


def used(program: Running) -> Used:
    """Return what the server, the worker and all processes of the database have used, those that have ended included."""
    return Used(family_cpu_s(program.web), family_cpu_s(program.worker), family_cpu_s(program.postgres), _machine_cpu_s())


def _machine_cpu_s() -> float:
    """Return the seconds that all processors together were not idle."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) * _TICK_S


def family_cpu_s(pid: int) -> float:
    """Return the processor seconds of a process and all below it: its own, those of children that have ended, those of children that live."""
    fields = _read(Path(f"/proc/{pid}/stat"), lambda path: path.read_text().rpartition(")")[2].split(), [])
    own = sum(map(int, fields[11:15])) * _TICK_S
    return own + sum(map(family_cpu_s, children_of(pid)))


def peak_mb(pid: int) -> int:
    """Return the most memory that a process has had resident, in megabytes."""
    text = _read(Path(f"/proc/{pid}/status"), Path.read_text, "")
    return next((int(line.split()[1]) // 1024 for line in text.splitlines() if line.startswith("VmHWM:")), 0)


def _read(path: Path, how: Callable[[Path], Read], otherwise: Read) -> Read:
    """Read what may be gone the moment we look."""
    try:
        return how(path)
    except (FileNotFoundError, ProcessLookupError):
        return otherwise


def logged_errors(cluster: Cluster, data: Path) -> list[str]:
    """Return what the program and the database have complained about."""
    program = [line for line in (data / "up.log").read_text().splitlines() if '"error"' in line or "Traceback" in line]
    return program + [line for line in cluster.log.read_text(errors="replace").splitlines() if _COMPLAINT.search(line)]


_COMPLAINT = re.compile(r"\] (ERROR|FATAL|PANIC):(?!  the database system is starting up)")
