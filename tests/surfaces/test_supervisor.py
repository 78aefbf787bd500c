"""`entrepot up` as a person meets it: real processes, killed in every way, and the data still there."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from entrepot.base.time import monotonic_s
from entrepot.bootstrap.postgres import socket_directory, socket_url
from entrepot.bootstrap.supervisor import Child, _tend

PROGRAM = [sys.executable, "-P", "-m", "entrepot.cli.main"]
PATIENCE_S = 60
PASSED_ON = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("ENTREPOT_")}


@dataclass(frozen=True)
class Running:
    """An `entrepot up` that answers."""

    process: subprocess.Popen[str]
    data: Path
    port: int

    def children(self) -> dict[str, int]:
        """Return the process number of each child by name."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {name_of(int(pid)): int(pid) for pid in listed if is_alive(int(pid))}

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body, status 0 while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()


def name_of(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return next((word[1:] for word in words if word in {"_web", "_worker", "_world"}), "postgres")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def data() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="entrepot-up-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def up(data: Path) -> Iterator[Running]:
    """Run the program until the end of the block; what a kill left over ends before the directory is removed."""
    command = [*PROGRAM, "up", "--data", str(data), "--port", "0", "--no-world"]
    with subprocess.Popen(command, env=PASSED_ON, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            if found is None:
                process.kill()
                pytest.fail(f"did not start: {line}{process.communicate()[1]}")
            running = Running(process, data, int(found[1]))
            children = running.children()
            yield running
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not any(is_alive(pid) for pid in children.values()))


def refused(*arguments: str) -> str:
    done = subprocess.run([*PROGRAM, *arguments], env=PASSED_ON, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def commit_row(data: Path, value: int) -> None:
    with psycopg.connect(socket_url(socket_directory(data))) as conn:
        conn.execute("create table if not exists kept (value int)")
        conn.execute("insert into kept values (%s)", [value])


def rows(data: Path) -> list[int]:
    with psycopg.connect(socket_url(socket_directory(data))) as conn:
        return [row[0] for row in conn.execute("select value from kept order by value")]


def test_serves_and_stops_when_asked(data: Path) -> None:
    with up(data) as running:
        assert running.get("/health") == (200, '{"status":"ok","database":"ok"}')
        assert "entrepot_requests_total" in running.get("/metrics")[1]
        assert set(running.children()) == {"postgres", "web", "worker"}
        children = list(running.children().values())
        running.process.send_signal(signal.SIGINT)
        running.process.wait(PATIENCE_S)
        assert running.process.returncode == 0
        assert [pid for pid in children if is_alive(pid)] == []


def test_children_come_back(data: Path) -> None:
    with up(data) as running:
        commit_row(data, 1)
        for name in ("web", "worker", "postgres"):
            before = running.children()
            os.kill(before[name], signal.SIGKILL)
            wait_until(lambda name=name, pid=before[name]: running.children().get(name, pid) != pid)
            wait_until(lambda: running.get("/health")[0] == 200)
            assert {**running.children(), name: 0} == {**before, name: 0}, "only the killed child is replaced"
        assert rows(data) == [1]


class Ended:
    """A process that has ended."""

    def poll(self) -> int:
        return -9


@pytest.mark.parametrize(("lived_s", "failures", "pause_s"), [(1, 6, 8), (11, 1, 0.25)])
def test_who_lived_a_while_comes_back_at_once(lived_s: float, failures: int, pause_s: float) -> None:
    now_s = monotonic_s()
    child = Child("web", lambda: pytest.fail("too early"), Ended(), now_s - lived_s, failures=5)
    _tend(child, None)
    assert child.process is None
    assert child.failures == failures
    assert child.due_s - now_s == pytest.approx(pause_s, abs=1)


def test_killed_program_takes_everything_along_and_loses_nothing(data: Path) -> None:
    for attempt in (1, 2):
        with up(data) as running:
            commit_row(data, attempt)
            children = running.children()
            running.process.kill()
            wait_until(lambda children=children: not any(is_alive(pid) for pid in children.values()))
    with up(data):
        assert rows(data) == [1, 2]


def test_killed_all_at_once(data: Path) -> None:
    with up(data) as running:
        commit_row(data, 1)
        for pid in [running.process.pid, *running.children().values()]:
            os.kill(pid, signal.SIGKILL)
    with up(data):
        assert rows(data) == [1]


def test_one_program_per_directory(data: Path) -> None:
    with up(data) as running:
        message = refused("up", "--data", str(data), "--port", "0")
        assert "directory_in_use" in message
        assert str(data) in message
        assert str(running.process.pid) in message
        current = subprocess.run([*PROGRAM, "db", "current", "--data", str(data)], env=PASSED_ON, capture_output=True, text=True, check=True)
        assert current.stdout.startswith("database ")
        assert running.get("/health")[0] == 200


def test_port_in_use(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        message = refused("up", "--data", str(data), "--port", str(taken.getsockname()[1]))
    assert "port_in_use" in message
    assert not (data / "postgres").exists()


@pytest.mark.parametrize(
    ("flag", "value", "field"),
    [("--port", "http", "port"), ("--port", "70000", "port"), ("--seed", "-1", "seed"), ("--speed", "fast", "speed"), ("--speed", "-1", "speed")],
)
def test_flags_that_make_no_sense(data: Path, flag: str, value: str, field: str) -> None:
    message = refused("up", "--data", str(data), f"{flag}={value}")
    assert "invalid_setting" in message
    assert f"field   {field}\n  value   {value}\n" in message
    assert list(data.iterdir()) == []
