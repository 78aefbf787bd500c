"""Orders under load while server, worker and database are killed: `make soak-intake` kills each twenty times with SIGKILL, at random moments.

Clients retry by key until they have a definite answer. In the end every acknowledged order exists exactly once, nobody was charged for what a
key does not find, no hold outlives its expiry and the laws hold. Exit status 1 if anything is broken.
"""

import argparse
import asyncio
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import psycopg

from benchmarks.soak_clients import Crowd, Sent, Talk, find_answers
from benchmarks.soak_program import BACKEND, DATABASE, SERVER, WORKER, Installation, SoakStuckError, installed, wait_until
from benchmarks.soak_proof import find_faults, longest_overdue_s, waiting_steps
from benchmarks.soak_world import SoakWorld, advance_clock, bring_stock, open_world
from entrepot.base.time import RealClock
from entrepot.bootstrap.outside import read_keyring
from entrepot.bootstrap.settings import read_settings
from entrepot.cli.check import prove_laws

KINDS = (SERVER, WORKER, DATABASE)
BACKENDS_PER_DATABASE = 4
"""For so many kills of the database's main process one of a process that serves a client, which makes the database recover as well."""
RECOVERY_LIMIT_S = 120
SETTLING_SPEED = 1200
_TICK_S = 0.25
_ERRORS_SHOWN = 40


@dataclass(frozen=True)
class Plan:
    """What a soak does: how often each kind is killed and after which pauses, how many clients order with which longest rest, how fast the business
    clock runs, and how many units come to each share of a shelf at first and after a kill.

    So many of a hundred kills hit a program that has recovered from the last one; the others may hit it while it does.
    """

    kills: int
    seed: int
    clients: int
    pause_s: tuple[float, float]
    healthy_per_hundred: int
    rest_s: float
    speed: float
    units: int
    wave_units: int


FULL = Plan(kills=20, seed=7, clients=16, pause_s=(0.2, 9.0), healthy_per_hundred=70, rest_s=1.0, speed=120, units=100, wave_units=40)
SMALL = Plan(kills=1, seed=7, clients=6, pause_s=(0.3, 1.5), healthy_per_hundred=100, rest_s=0.2, speed=600, units=3, wave_units=2)


@dataclass
class Outcome:
    """What came of a soak."""

    plan: Plan
    killed: Counter[str] = field(default_factory=Counter)
    talk: Talk = field(default_factory=Talk)
    recoveries_s: list[float] = field(default_factory=list)
    restarts: int = 0
    elapsed_s: float = 0.0
    overdue_s: float = 0.0
    found: dict[str, list[str]] = field(default_factory=dict)

    @property
    def broken(self) -> int:
        """Return how many faults were found."""
        return sum(len(rows) for rows in self.found.values())


class BusinessClock:
    """Moves the business clock of an installation at a speed, through whatever happens to its database."""

    def __init__(self, url: str, speed: float) -> None:
        self.speed = speed
        self._url = url
        self.at = RealClock().now()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)

    def _run(self) -> None:
        last_s = time.monotonic()
        while not self._is_over.wait(_TICK_S):
            now_s = time.monotonic()
            self.at += timedelta(seconds=(now_s - last_s) * self.speed)
            last_s = now_s
            _tried(lambda: advance_clock(self._url, self.at))


def _tried(work: Callable[[], Coroutine[object, object, object]]) -> bool:
    """Run work on the database once; tell whether the database was there to do it."""
    try:
        asyncio.run(work())
    except psycopg.OperationalError:
        return False
    return True


def soak(plan: Plan) -> Outcome:
    """Run a soak and return what came of it; raise if it cannot even go on."""
    began_s = time.monotonic()
    outcome = Outcome(plan)
    with installed() as program:
        keyring = read_keyring(read_settings({}, {"data": str(program.data)}))
        world = asyncio.run(open_world(program.url, keyring))
        asyncio.run(bring_stock(program.url, world, 0, plan.units))
        _tell(f"seed {plan.seed}: the house is open after {time.monotonic() - began_s:.0f} s")
        with BusinessClock(program.url, plan.speed) as clock:
            crowd = Crowd(lambda: program.port, world, plan.clients, plan.rest_s, plan.seed)
            crowd.begin()
            try:
                _kill_all(plan, program, world, outcome)
            finally:
                outcome.talk = crowd.end()
            _tell(f"{len(outcome.talk.sent)} orders were sent; waiting for their payments")
            ended_at, clock.speed = clock.at, SETTLING_SPEED
            _settle(program)
        _prove(plan, program, world, outcome, ended_at)
        status = program.stop()
        outcome.found["end"] = [] if status == 0 else [f"the program ended with status {status} when it was told to stop"]
        outcome.found["logs"] = program.complaints()
        outcome.killed, outcome.restarts = program.killed, program.restarts
    outcome.elapsed_s = time.monotonic() - began_s
    return outcome


def _kill_all(plan: Plan, program: Installation, world: SoakWorld, outcome: Outcome) -> None:
    """Kill what is to be killed, in an order and after pauses that follow from the seed, and bring stock after each kill."""
    dice = random.Random(f"kills {plan.seed}")  # noqa: S311 -- repeatable on purpose
    kinds = [*KINDS * plan.kills, *[BACKEND] * -(-plan.kills // BACKENDS_PER_DATABASE)]
    dice.shuffle(kinds)
    for number, kind in enumerate(kinds, start=1):
        if dice.randrange(100) < plan.healthy_per_hundred:
            outcome.recoveries_s.append(wait_until(program.is_healthy, "a healthy program", RECOVERY_LIMIT_S))
            wait_until(lambda wave=number: _tried(lambda: bring_stock(program.url, world, wave, plan.wave_units)), "stock to come")
        time.sleep(dice.uniform(*plan.pause_s))
        program.kill(kind, dice)
        _tell(f"{number:>3} of {len(kinds)}: killed {kind}")


def _settle(program: Installation) -> None:
    """Wait until every payment is decided and every hold has ended or is over, while business time passes quickly."""

    def is_settled() -> bool:
        program.keep_running()
        try:
            with psycopg.connect(program.url) as conn:
                return waiting_steps(conn) == 0
        except psycopg.OperationalError:
            return False

    wait_until(program.is_healthy, "a healthy program", RECOVERY_LIMIT_S)
    wait_until(is_settled, "all payments to be decided", 300)


def _prove(plan: Plan, program: Installation, world: SoakWorld, outcome: Outcome, ended_at: datetime) -> None:
    """Look every key up, hold the database against what clients know, and prove the laws."""
    looked_up = find_answers(lambda: program.port, world.token, outcome.talk.sent, plan.clients)
    outcome.found["answers"] = outcome.talk.faults + looked_up.faults
    with psycopg.connect(program.url) as conn:
        outcome.found["database"] = find_faults(conn, outcome.talk.sent)
        outcome.overdue_s = longest_overdue_s(conn, ended_at) / plan.speed
    laws = asyncio.run(prove_laws(program.url))
    outcome.found["laws"] = [row for law in laws for row in law.rows]


# -- told ------------------------------------------------------------------------------------------------------------


def table(outcome: Outcome) -> str:
    """Return what came of a soak, for people."""
    plan, talk = outcome.plan, outcome.talk
    statuses = Counter(_status(one) for one in talk.sent)
    refusals = Counter(str(one.answer.get("code")) for one in talk.sent if one.status >= 400)
    methods = Counter(one.wish.method for one in talk.sent if one.is_acknowledged)
    counts = talk.counts
    rows = [
        ("seed", plan.seed),
        ("seconds", f"{outcome.elapsed_s:.0f}"),
        *((f"killed: {kind}", outcome.killed[kind]) for kind in (*KINDS, BACKEND)),
        ("started again by hand", outcome.restarts),
        ("longest recovery, s", f"{max(outcome.recoveries_s, default=0):.1f}"),
        ("orders sent", len(talk.sent)),
        ("acknowledged", statuses["acknowledged"]),
        ("acknowledged by method", _listed(methods)),
        ("refused", statuses["refused"]),
        ("refused by reason", _listed(refusals)),
        ("requests", counts["requests"]),
        ("retries", counts["retries"]),
        ("why retried", _listed(Counter({name: count for name, count in counts.items() if name not in {"requests", "retries"}}))),
        ("hold longest past its expiry, s", f"{outcome.overdue_s:.1f}"),
        *((f"broken: {name}", len(faults)) for name, faults in outcome.found.items()),
        ("broken", outcome.broken),
    ]
    return "\n".join(f"{name:<32} {value}" for name, value in rows)


def _status(sent: Sent) -> str:
    return "acknowledged" if sent.is_acknowledged else "refused" if sent.status else "unanswered"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "-"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments(given: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="A short soak, for tests: one kill of each, a handful of clients.")
    parser.add_argument("--kills", type=int, help=f"How often each of {', '.join(KINDS)} is killed; {FULL.kills}, or {SMALL.kills} with --small.")
    parser.add_argument("--seed", type=int, default=FULL.seed, help="Draws the orders, the victims and the pauses; timing differs each time.")
    parser.add_argument("--clients", type=int, help="How many clients order at once.")
    parser.add_argument(
        "--seconds-between", dest="pause_s", nargs=2, type=float, metavar=("LEAST", "MOST"), help="Shortest and longest pause before a kill."
    )
    args = parser.parse_args(given)
    plan = SMALL if args.small else FULL
    chosen: dict[str, Any] = {name: value for name, value in vars(args).items() if name != "small" and value is not None}
    return Plan(**{**vars(plan), **chosen})


def main(given: Sequence[str] | None = None) -> int:
    """Soak, print the table and the first faults; 1 if anything is broken."""
    plan = _arguments(given)
    try:
        outcome = soak(plan)
    except SoakStuckError as stuck:
        print(f"seed {plan.seed}: {stuck}")
        return 1
    for name, faults in outcome.found.items():
        for fault in faults[:_ERRORS_SHOWN]:
            print(f"{name}: {fault}")
    print(table(outcome))
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main())
