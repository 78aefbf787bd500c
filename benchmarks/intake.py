"""How fast orders are taken, and what one costs: `make bench` prints a table and writes benchmarks/out/intake.json.

A world of 100,000 SKUs in a fresh database, web and worker as `entrepot up` runs them, prepared requests from a process of their own, and
between all measurements pgbench's TPC-B in the same database server. Each point is measured several times; the run with the median rate counts.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import mean, median
from typing import Any

import psycopg

from benchmarks import tpcb
from benchmarks.beside import NAMES, measure_beside
from benchmarks.ground import FULL, SMALL, BenchWorld, Size, fill_world, open_storefront
from benchmarks.loads import METHOD, ORDERS, UNIFORM, WORKLOADS, Load
from benchmarks.measure import HTTP, INSIDE, Apart, Measured, driver, measure_http, measure_inside
from benchmarks.processes import Running, Used, logged_errors, peak_mb, running, used
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.outside import read_keyring
from entrepot.bootstrap.postgres import Cluster, Durability
from entrepot.bootstrap.settings import read_settings
from entrepot.bootstrap.throwaway import throwaway_cluster
from entrepot.cli.check import prove_laws

OUT = Path(__file__).parent / "out" / "intake.json"
CLIENTS = (1, 16, 64, 256)
SLOW = "card_slow"
SMALL_SCALE = 1
MOST_PER_S = 8_000
"""Requests prepared for each second of a run: more than the server answers."""


@dataclass(frozen=True)
class Point:
    """What is measured: which SKUs, by which way, from how many clients, and how the buyers pay.

    `card_ok` is taken by the worker at once, beside the orders that come; `card_slow` is decided minutes later and shows what placing alone costs.
    """

    workload: str
    transport: str
    clients: int
    method: str = METHOD

    @property
    def name(self) -> str:
        """What `--only` calls it."""
        return f"{self.workload}:{self.clients}:{self.transport}" + (f":{self.method}" if self.method != METHOD else "")


POINTS = (
    *(Point(workload, HTTP, clients) for workload in WORKLOADS for clients in CLIENTS),
    *(Point(UNIFORM, HTTP, clients, SLOW) for clients in CLIENTS),
    *(Point(workload, INSIDE, max(CLIENTS)) for workload in WORKLOADS),
)


@dataclass(frozen=True)
class Bench:
    """The house under measurement."""

    cluster: Cluster
    data: Path
    program: Running
    world: BenchWorld
    token: str
    apart: Apart
    seconds: float
    patience_s: float


def main() -> int:
    """Measure, print, write; 1 if a law is broken, a request stayed without a decision or something complained in a log."""
    args = _arguments()
    size = SMALL if args.small else FULL
    began_s = time.monotonic()
    with _opened(size, args) as bench:
        _tell(f"{len(bench.world.offers):,} SKUs are on sale after {time.monotonic() - began_s:.0f} s")
        points = [point for point in POINTS if _is_wanted(point, args.only)]
        report: dict[str, Any] = {"machine": _machine(bench), "seconds": args.seconds, "repeat": args.repeat}
        report["runs"] = _measure_points(bench, points, args.repeat)
        report["pgbench"] = _yardsticks(bench, args.repeat)
        names = args.only or NAMES
        report["beside"] = measure_beside(bench.apart, bench.program, bench.world, bench.token, args.seconds / 2, names)
        report["log_errors"] = logged_errors(bench.cluster, bench.data)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=2) + "\n")
    print(_table(report))
    bad = [run for run in report["runs"] if run["laws_broken"] or run["accepted"] + run["refused"] != run["sent"]]
    return 1 if bad or report["log_errors"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="How long each run lasts.")
    parser.add_argument("--repeat", type=int, default=3, help="How often each point is measured.")
    parser.add_argument(
        "--only",
        nargs="+",
        help=f"Points as workload:clients, workload:clients:transport or, for slow payments, workload:clients:transport:card_slow, or any of {', '.join(NAMES)}.",
    )
    parser.add_argument("--small", action="store_true", help="A world of 200 SKUs, for tests of the driver.")
    parser.add_argument("--patience", type=float, default=60, help="Seconds to wait after each run until its payments are taken.")
    parser.add_argument("--out", type=Path, default=OUT, help="Where the figures go.")
    return parser.parse_args()


def _is_wanted(point: Point, only: Sequence[str] | None) -> bool:
    return only is None or not {point.name, point.name.removesuffix(f":{HTTP}")}.isdisjoint(only)


@contextmanager
def _opened(size: Size, args: argparse.Namespace) -> Iterator[Bench]:
    """Open a cluster that is as durable as an installation's, fill it, and run the program on it."""
    with throwaway_cluster(Durability.KEEP) as cluster, tempfile.TemporaryDirectory(prefix="entrepot-bench-") as directory:
        upgrade(cluster.url())
        world, token = asyncio.run(_fill(cluster.url(), Path(directory), size))
        tpcb.prepare(cluster, SMALL_SCALE if size is SMALL else tpcb.SCALE)
        with running(cluster, Path(directory)) as program, driver() as apart:
            yield Bench(cluster, Path(directory), program, world, token, apart, args.seconds, args.patience)


async def _fill(url: str, data: Path, size: Size) -> tuple[BenchWorld, str]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        world = await fill_world(conn, read_keyring(read_settings({}, {"data": str(data)})), size)
        async with conn.transaction():
            return world, await open_storefront(conn)


# -- runs ------------------------------------------------------------------------------------------------------------


def _measure_points(bench: Bench, points: Sequence[Point], repeat: int) -> list[dict[str, Any]]:
    """Measure all points in turn, as often as asked, TPC-B between any two and the laws after each round; return each point's median run."""
    found: dict[Point, list[dict[str, Any]]] = {point: [] for point in points}
    if not points:
        return []
    numbers = count()
    _run(bench, points[0], next(numbers))  # caches and prepared statements, as after a minute of life
    before = _tps(bench)
    for _ in range(repeat):
        for point in points:
            run = _run(bench, point, next(numbers))
            after = _tps(bench)
            tps = mean((before, after))
            run |= {"pgbench_tps": round(tps), "pgbench_before_after": [round(before), round(after)], "ratio": round(run["orders_per_s"] / tps, 3)}
            run["decisions_ratio"] = round(run["decisions_per_s"] / tps, 3)
            found[point].append(run)
            _tell(_row(run | {"laws_broken": "-"}))
            before = after
        broken = _broken_laws(bench)
        for runs in found.values():
            runs[-1]["laws_broken"] = broken
    return [_median(runs) for runs in found.values()]


def _tps(bench: Bench) -> float:
    return tpcb.run(bench.cluster, tpcb.CLIENTS, bench.seconds / 2).tps


def _median(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the run with the median rate, whole, and beside it the rates of all."""
    ordered = sorted(runs, key=lambda run: run["decisions_per_s"])
    return ordered[len(ordered) // 2] | {
        "laws_broken": max(run["laws_broken"] for run in runs),
        "orders_per_s_of_all": [run["orders_per_s"] for run in runs],
        "ratio_of_all": [run["ratio"] for run in runs],
        "decisions_ratio_of_all": [run["decisions_ratio"] for run in runs],
    }


def _run(bench: Bench, point: Point, number: int) -> dict[str, Any]:
    """Measure one point once, and wait for its payments."""
    most = max(point.clients, round(MOST_PER_S * bench.seconds))
    load = Load(ORDERS, point.workload, point.clients, bench.seconds, number, most, point.method)
    if point.transport == HTTP:
        done = bench.apart(measure_http, bench.program, load, bench.world, bench.token)
    else:
        done = bench.apart(measure_inside, bench.program, load, bench.world)
    if done.odd:
        _tell("\n".join(done.odd))
    paid = _await_payments(bench, done)
    return {
        "workload": point.workload,
        "transport": point.transport,
        "method": point.method,
        "clients": point.clients,
        "orders_per_s": round(done.accepted / done.elapsed_s, 1),
        "decisions_per_s": round((done.accepted + done.refused) / done.elapsed_s, 1),
        "p50_ms": round(done.latency_ms(0.5), 3),
        "p99_ms": round(done.latency_ms(0.99), 3),
        "cpu_ms_per_order": _per_order(done.used, done.accepted, done.driver_s),
        "cpu_ms_per_decision": _per_order(done.used, done.accepted + done.refused, done.driver_s),
        "batch_mean": None if done.batch_mean is None else round(done.batch_mean, 1),
        "wal_bytes_per_order": round(done.wal_bytes / max(1, done.accepted)),
        "sent": done.sent,
        "accepted": done.accepted,
        "refused": done.refused,
        "statuses": {str(status): number for status, number in sorted(done.statuses.items())},
        "payments_after": paid,
        "others_cores": round(done.others_cores, 2),
        "server_peak_mb": peak_mb(bench.program.web),
    }


def _broken_laws(bench: Bench) -> int:
    """Return how many rows break a law, and tell the first ones."""
    laws = asyncio.run(prove_laws(bench.program.url))
    for row in [row for law in laws for row in law.rows[:3]]:
        _tell(f"broken: {row}")
    return sum(law.broken for law in laws)


def _per_order(spent: Used, orders: int, driver_s: float) -> dict[str, float]:
    """Return processor milliseconds per order; the driver's are not in the total."""
    parts = {"server": spent.server, "database": spent.database, "worker": spent.worker}
    parts |= {"total": sum(parts.values()), "driver": driver_s}
    return {name: round(seconds * 1000 / max(1, orders), 4) for name, seconds in parts.items()}


def _await_payments(bench: Bench, done: Measured) -> dict[str, Any]:
    """Wait until the worker has taken the payments of all orders so far, so that the next run has the machine for itself; tell what that cost."""
    began_s, before = time.monotonic(), used(bench.program)
    with psycopg.connect(bench.program.url, autocommit=True) as conn:
        left = _unpaid(conn)
        while left and time.monotonic() - began_s < bench.patience_s:
            time.sleep(0.1)
            left = _unpaid(conn)
    per_order = _per_order(used(bench.program).since(before), done.accepted, 0.0)
    return {
        "seconds": round(time.monotonic() - began_s, 2),
        "left": left,
        "cpu_ms_per_order": {name: per_order[name] for name in ("database", "worker", "total")},
    }


def _unpaid(conn: psycopg.Connection) -> int:
    row = conn.execute("select count(*) from due_work where step_code = 'take_payments' and attempt_count = 0").fetchone()
    assert row is not None
    return int(row[0])


def _yardsticks(bench: Bench, repeat: int) -> dict[str, float]:
    """Return what a bare transaction takes alone, and at worst among 64: medians of so many runs."""
    alone = [tpcb.run(bench.cluster, 1, bench.seconds / 2) for _ in range(repeat)]
    crowd = [tpcb.run(bench.cluster, 64, bench.seconds / 2) for _ in range(repeat)]
    return {
        "one_client_p50_ms": round(median(one.p50_ms for one in alone), 3),
        "clients_64_tps": round(median(one.tps for one in crowd)),
        "clients_64_p99_ms": round(median(one.p99_ms for one in crowd), 3),
    }


# -- told ------------------------------------------------------------------------------------------------------------


def _machine(bench: Bench) -> dict[str, Any]:
    with psycopg.connect(bench.program.url) as conn:
        version = conn.info.server_version // 10_000
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {"cores": os.cpu_count(), "processor": model, "python": platform.python_version(), "postgres": version}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_HEAD = (
    "workload      transport  payment    clients  orders/s  decisions/s  tpc-b/s  ratio   p50 ms   p99 ms  server  databs  worker   total  driver  batch  wal B  accepted"
    "  refused  broken"
)


def _row(run: dict[str, Any]) -> str:
    """Return one run as a line of the table; processor milliseconds per order."""
    cpu = run["cpu_ms_per_order"]
    return (
        f"{run['workload']:<13} {run['transport']:<10} {run['method']:<10} {run['clients']:>7} {run['orders_per_s']:>9,.0f} {run['decisions_per_s']:>12,.0f} {run['pgbench_tps']:>8,}"
        f" {run['ratio']:>6.2f} {run['p50_ms']:>8.2f} {run['p99_ms']:>8.2f} {cpu['server']:>7.3f} {cpu['database']:>7.3f} {cpu['worker']:>7.3f} {cpu['total']:>7.3f}"
        f" {cpu['driver']:>7.3f} {run['batch_mean'] or 0:>6.1f} {run['wal_bytes_per_order']:>6,} {run['accepted']:>9,} {run['refused']:>8,} {run['laws_broken']:>7}"
    )


def _table(report: dict[str, Any]) -> str:
    """Return everything that was measured, for people."""
    lines = [_HEAD, *(_row(run) for run in report["runs"]), ""]
    for part in ("pgbench", "beside"):
        lines += [f"{name:<32} {json.dumps(value)}" for name, value in report[part].items()]
    return "\n".join([*lines, f"complaints in the logs           {len(report['log_errors'])}"])


if __name__ == "__main__":
    sys.exit(main())
