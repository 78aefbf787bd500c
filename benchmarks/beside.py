"""What stands beside the taking of orders: from the order to the money, quotes, product pages, search, and the world's events per second."""

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Collection
from typing import Any

import psycopg

from benchmarks.ground import BenchWorld
from benchmarks.loads import MISSPELT, PRODUCT, QUOTES, SEARCH, UNIFORM, Load, one_order
from benchmarks.measure import Apart, Measured, measure_http, percentile
from benchmarks.processes import PROGRAM, Running
from entrepot.bootstrap.processes import LOOPBACK

WATCHED = 10
WORLD_DAYS = 3
_PATIENCE_S = 60
_CLIENTS = {QUOTES: 64, PRODUCT: 4, SEARCH: 4, MISSPELT: 1}
_MOST_PER_S = 4_000
WATCH, WORLD = "placed_to_paid", "world"
NAMES = (*_CLIENTS, WATCH, WORLD)
"""Everything that is measured here."""


def measure_beside(apart: Apart, program: Running, world: BenchWorld, token: str, seconds: float, names: Collection[str]) -> dict[str, Any]:
    """Measure what is named, in turn; processor milliseconds per answer are those of server and database together."""
    found: dict[str, Any] = {}
    for run, (kind, clients) in enumerate(_CLIENTS.items()):
        if kind in names:
            load = Load(kind, UNIFORM, clients, seconds, run, max(clients, round(_MOST_PER_S * seconds)))
            found[kind] = _told(apart(measure_http, program, load, world, token), clients)
    if WATCH in names:
        found[WATCH] = watch_payments(program, world, token)
    if WORLD in names:
        found[WORLD] = live_world()
    return found


def _told(done: Measured, clients: int) -> dict[str, Any]:
    answered = done.statuses[200]
    return {
        "clients": clients,
        "per_s": round(answered / done.elapsed_s, 1),
        "p50_ms": round(done.latency_ms(0.5), 2),
        "p95_ms": round(done.latency_ms(0.95), 2),
        "cpu_ms": round((done.used.server + done.used.database) * 1000 / max(1, answered), 3),
        "answered": answered,
        "not_answered": done.sent - answered,
    }


def watch_payments(program: Running, world: BenchWorld, token: str) -> dict[str, float]:
    """Place orders one at a time on an idle machine and wait until each is paid."""
    took_s = [_watch_payment(program, one_order(world, token, uuid.uuid4())) for _ in range(WATCHED)]
    return {"p50_ms": round(percentile(took_s, 0.5) * 1000, 1), "worst_ms": round(max(took_s) * 1000, 1)}


def _watch_payment(program: Running, request: bytes) -> float:
    """Return the seconds from sending an order until its checkout is paid."""
    with socket.create_connection((LOOPBACK, program.port)) as client, psycopg.connect(program.url, autocommit=True) as conn:
        began_s = time.perf_counter()
        client.sendall(request)
        answer = client.recv(1 << 16)
        checkout_id = json.loads(answer.partition(b"\r\n\r\n")[2])["checkout_id"]
        while conn.execute("select from checkout where checkout_id = %s and state = 'paid'", [checkout_id]).fetchone() is None:
            if time.perf_counter() - began_s > _PATIENCE_S:
                raise SystemExit(f"Checkout {checkout_id} was not paid within {_PATIENCE_S} seconds.")
            time.sleep(0.005)
        return time.perf_counter() - began_s


def live_world() -> dict[str, float]:
    """Live some days of the demonstration world and count its events."""
    done = subprocess.run([*PROGRAM, "world", "--days", str(WORLD_DAYS), "--json"], stdout=subprocess.PIPE, text=True, check=False)
    report = json.loads(done.stdout)
    events = sum(report["events"].values())
    return {"events": events, "seconds": report["elapsed_s"], "events_per_s": round(events / report["elapsed_s"], 1)}
