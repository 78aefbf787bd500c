"""What the same database server does for pgbench's TPC-B in the same minutes: the measure that orders are held against."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import percentile
from entrepot.bootstrap.postgres import DATABASE_USER, Cluster, ensure_database

DATABASE = "tpcb"
SCALE, CLIENTS = 10, 16


@dataclass(frozen=True)
class Yardstick:
    """Transactions per second and latencies of one run of pgbench."""

    tps: float
    p50_ms: float
    p99_ms: float


def prepare(cluster: Cluster, scale: int = SCALE) -> None:
    """Make pgbench's own database."""
    ensure_database(cluster, DATABASE)
    _pgbench(cluster, "--initialize", "--quiet", f"--scale={scale}")


def run(cluster: Cluster, clients: int, seconds: float) -> Yardstick:
    """Run TPC-B for so many seconds, a second at least."""
    with tempfile.TemporaryDirectory() as directory:
        log = ["--log", f"--log-prefix={directory}/log"]
        told = _pgbench(cluster, "--no-vacuum", f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={max(1, round(seconds))}", *log)
        took_us = [int(line.split()[2]) for file in Path(directory).iterdir() for line in file.read_text().splitlines()]
    found = re.search(r"^tps = (\S+)", told, re.MULTILINE)
    assert found is not None, told
    return Yardstick(float(found[1]), percentile(took_us, 0.5) / 1000, percentile(took_us, 0.99) / 1000)


def _pgbench(cluster: Cluster, *options: str) -> str:
    command = [cluster.programs / "pgbench", f"--host={cluster.sockets}", f"--username={DATABASE_USER}", *options, DATABASE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"pgbench ended with {done.returncode}: {done.stderr[-400:]}")
    return done.stdout
