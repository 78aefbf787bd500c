"""Random walks through the real books: how long they are, and one event loop with one connection whose work is taken back after each."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

LONG = int(os.environ.get("ENTREPOT_WALKS", "0"))
"""How many walks of each kind to take instead of the few of every day, a different choice each time."""


def walk_settings(walks, steps):
    """Every day the same few walks; with ENTREPOT_WALKS=500 that many new ones, and the blob of one that fails."""
    return settings(
        max_examples=LONG or walks,
        stateful_step_count=steps,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


class Bench:
    """One event loop and one connection; `start` opens the transaction of a walk, `undo` rolls it back."""

    def __init__(self, url):
        self._runner = asyncio.Runner()
        self.conn = self.run(psycopg.AsyncConnection.connect(url))

    def run(self, work):
        return self._runner.run(work)

    def start(self):
        self.undo()
        self.run(self.conn.execute("select 1"))  # a savepoint inside this transaction is never the transaction itself

    def undo(self):
        self.run(self.conn.rollback())

    def close(self):
        self.run(self.conn.close())
        self._runner.close()


@contextmanager
def bench_at(url) -> Iterator[Bench]:
    bench = Bench(url)
    try:
        yield bench
    finally:
        bench.close()


def walk(machine, url, walks, steps):
    """Take the walks of one machine, which is made with a bench."""
    with bench_at(url) as bench:
        run_state_machine_as_test(lambda: machine(bench), settings=walk_settings(walks, steps))
