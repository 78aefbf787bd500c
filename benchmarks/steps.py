"""Where the processor's time of one order goes, step by step: `python -m benchmarks.steps` prints the program's share and the database's.

Batches of 128, or of as many as `--size` says, are placed on one connection as the server does it, then their payments are taken as the worker does it. The program's time is
sampled by the profiling timer; the database's is what its log says of each statement, and the rest of its processes' time.
"""

import argparse
import asyncio
import re
import signal
import tempfile
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from types import FrameType

import psycopg

import entrepot
from benchmarks.ground import FULL, SMALL, BenchWorld, fill_world
from benchmarks.loads import ORDERS, UNIFORM, WORKLOADS, Load, order_values
from benchmarks.measure import place_batch
from benchmarks.processes import family_cpu_s, main_process
from entrepot.base.batching import BATCH_LIMIT, chunks
from entrepot.base.clock_store import read_business_now
from entrepot.base.time import RealClock
from entrepot.bootstrap.child import look_for_cycles_rarely
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.outside import build_outside, read_keyring
from entrepot.bootstrap.postgres import Cluster, Durability
from entrepot.bootstrap.settings import read_settings
from entrepot.bootstrap.throwaway import throwaway_cluster
from entrepot.flows.order_to_cash import PAY
from entrepot.flows.reference import read_reference
from entrepot.flows.run_due import run_due
from entrepot.operations.registry import REGISTRY

SAMPLE_S = 0.001
LOGGED = "&options=-c%20log_min_duration_statement%3D0"
_HOME = str(Path(entrepot.__path__[0])) + "/"
_SPLIT = frozenset(
    {
        "place_orders",
        "_write",
        "read_ground",
        "hold_checkouts",
        "_decide",
        "post_entries",
        "run_due",
        "take_payments",
        "honour_payments",
        "release_work",
    }
)
"""Functions whose callees are steps of their own."""
_DRIVER = ("psycopg", "asyncio", "selectors")
_LOGGED = re.compile(r"duration: ([\d.]+) ms  (?:parse|bind|execute|statement)[^:]*: (.*?)(?=\n\d{4}-\d\d-\d\d |\Z)", re.DOTALL)


@dataclass
class Samples:
    """How often the timer found the program in which step, and there in its own code or in the driver's."""

    steps: Counter[tuple[str, str]]
    total: int = 0

    def take(self, _number: int, frame: FrameType | None) -> None:
        """Note where the program is: the step nearest to the flow's own line, and whether the driver's code runs there."""
        self.total += 1
        whose = ""
        while frame is not None and not _is_step(frame):
            whose = whose or _owner(frame)
            frame = frame.f_back
        self.steps["event loop and transaction" if frame is None else _name(frame), whose or "own"] += 1


def _owner(frame: FrameType) -> str:
    file = frame.f_code.co_filename
    if file.startswith(_HOME):
        return "own"
    return "driver" if any(f"/{name}" in file for name in _DRIVER) else ""


def _is_step(frame: FrameType) -> bool:
    """Tell whether a frame is a function whose callees are steps, or such a callee."""
    code = frame.f_code
    is_callee = frame.f_back is not None and _splits(frame.f_back) and code.co_filename.startswith(_HOME) and not code.co_name.startswith("<")
    return _splits(frame) or is_callee


def _splits(frame: FrameType) -> bool:
    return frame.f_code.co_name in _SPLIT and frame.f_code.co_filename.startswith(_HOME)


def _name(frame: FrameType) -> str:
    module = frame.f_code.co_filename.removeprefix(_HOME).removesuffix(".py")
    return f"{module}.{frame.f_code.co_name}" + (" itself" if _splits(frame) else "")


@contextmanager
def sampled() -> Iterator[Samples]:
    """Sample this process while the block runs."""
    samples = Samples(Counter())
    signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    """Fill a world, place orders twice, print both shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", choices=WORKLOADS, default=UNIFORM)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--size", type=int, default=BATCH_LIMIT, help="Orders in a batch; 1 shows what a lonely order costs.")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    look_for_cycles_rarely()
    with throwaway_cluster(Durability.KEEP) as cluster, tempfile.TemporaryDirectory(prefix="entrepot-bench-") as directory:
        upgrade(cluster.url())
        asyncio.run(_measure(cluster, Path(directory), args))


async def _measure(cluster: Cluster, data: Path, args: argparse.Namespace) -> None:
    async with await psycopg.AsyncConnection.connect(cluster.url(), autocommit=True) as conn:
        world = await fill_world(conn, read_keyring(read_settings({}, {"data": str(data)})), SMALL if args.small else FULL)
    await _place(cluster, world, Load(ORDERS, args.workload, 1, 0, 0, 20 * BATCH_LIMIT), args.size, "")
    await _pay(cluster, "")
    for run, options in ((1, ""), (2, LOGGED)):
        load = Load(ORDERS, args.workload, 1, 0, run, args.batches * args.size)
        placed = await _logged(cluster, _place(cluster, world, load, args.size, options))
        paid = await _logged(cluster, _pay(cluster, options))
        for name, (log, samples, program_s, database_s) in (("placing", placed), ("taking the payment and releasing the work", paid)):
            print(f"-- {name} --")
            if options:
                _tell_statements(log, load.most, database_s)
            else:
                _tell_steps(samples, load.most, program_s, database_s)


async def _logged(cluster: Cluster, work: Awaitable[tuple[Samples, float, float]]) -> tuple[str, Samples, float, float]:
    """Return what the database's log says during some work, before what the work returns."""
    size = cluster.log.stat().st_size
    samples, program_s, database_s = await work
    return cluster.log.read_text(errors="replace")[size:], samples, program_s, database_s


async def _place(cluster: Cluster, world: BenchWorld, load: Load, size: int, options: str) -> tuple[Samples, float, float]:
    """Place a load in batches; return the samples and the seconds of program and database."""
    async with await psycopg.AsyncConnection.connect(cluster.url()) as conn:
        now = await read_business_now(conn) or RealClock().now()
        outside = build_outside(read_settings({}, {}), await read_reference(conn, REGISTRY, now.date()))
    requests = order_values(load, world, now)
    main_pid = main_process(cluster)
    async with open_pool(cluster.url() + options, 1) as pool:
        database_s, program_s = family_cpu_s(main_pid), process_time()
        with sampled() as samples:
            for part in chunks(requests, size):
                await in_transaction(pool, lambda conn, part=part: place_batch(conn, outside, part))
        return samples, process_time() - program_s, family_cpu_s(main_pid) - database_s


async def _pay(cluster: Cluster, options: str) -> tuple[Samples, float, float]:
    """Take the payments of everything placed so far in batches; return the samples and the seconds of program and database."""
    async with await psycopg.AsyncConnection.connect(cluster.url()) as conn:
        now = await read_business_now(conn) or RealClock().now()
        outside = build_outside(read_settings({}, {}), await read_reference(conn, REGISTRY, now.date()))
    main_pid = main_process(cluster)
    async with open_pool(cluster.url() + options, 1) as pool:
        database_s, program_s = family_cpu_s(main_pid), process_time()
        with sampled() as samples:
            while await in_transaction(pool, lambda conn: run_due(conn, outside, PAY, now, BATCH_LIMIT)):
                pass
        return samples, process_time() - program_s, family_cpu_s(main_pid) - database_s


def _tell_steps(samples: Samples, orders: int, program_s: float, database_s: float) -> None:
    """Print microseconds per order by step, of which in the driver."""
    print(f"program {program_s / orders * 1e6:.0f} us per order, database {database_s / orders * 1e6:.0f} us per order ({samples.total} samples)")
    unit = program_s / samples.total / orders * 1e6
    by_step = Counter[str]()
    for (step, _), number in samples.steps.items():
        by_step[step] += number
    for step, number in by_step.most_common():
        print(f"{number * unit:8.1f} us {number / samples.total:6.1%}  of which driver {samples.steps[step, 'driver'] * unit:6.1f}  {step}")


def _tell_statements(log: str, orders: int, database_s: float) -> None:
    """Print microseconds per order by statement: parsing, planning and running as the log tells them."""
    spent, texts = Counter[str](), dict[str, str]()
    for milliseconds, text in _LOGGED.findall(log):
        words = " ".join(text.split())
        spent[words[:100]] += round(float(milliseconds) * 1000)
        texts.setdefault(words[:100], words)
    total = sum(spent.values())
    print(f"statements {total / orders:.0f} us per order by the log; the database's processes used {database_s / orders * 1e6:.0f}")
    for words, microseconds in spent.most_common():
        print(f"{microseconds / orders:8.1f} us {microseconds / total:6.1%}  {words[:90]}")


if __name__ == "__main__":
    main()
