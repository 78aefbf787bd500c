"""The driver of `make bench`, small: every figure is there and every request got its answer; how fast is never asked here."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = {
    "workload": str, "transport": str, "clients": int, "orders_per_s": float, "decisions_per_s": float, "pgbench_tps": int, "ratio": float,
    "p50_ms": float, "p99_ms": float, "wal_bytes_per_order": int, "accepted": int, "refused": int, "sent": int, "laws_broken": int,
}  # fmt: skip
CPU = ("server", "database", "worker", "total", "driver")
POINTS = ("uniform:16", "flash:256", "uniform:256:in_process")
BESIDE = ("quotes", "product", "search", "misspelt", "placed_to_paid")


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Mapping[str, object]:
    out = tmp_path_factory.mktemp("bench") / "intake.json"
    command = [sys.executable, "-m", "benchmarks.intake", "--small", "--seconds", "0.5", "--repeat", "1", "--patience", "0.5"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    done = subprocess.run(
        [*command, "--out", str(out), "--only", *POINTS, *BESIDE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


def test_every_run_tells_every_figure(report):
    assert [f"{run['workload']}:{run['clients']}:{run['transport']}" for run in report["runs"]] == [
        "uniform:16:http", "flash:256:http", "uniform:256:in_process",
    ]  # fmt: skip
    for run in report["runs"]:
        assert {name: type(run[name]) for name in RUN} == RUN
        assert set(CPU) == set(run["cpu_ms_per_order"])
        assert {type(value) for value in run["cpu_ms_per_order"].values()} == {float}


def test_every_request_is_decided(report):
    for run in report["runs"]:
        assert run["accepted"] + run["refused"] == run["sent"], run["statuses"]
        assert run["accepted"] > 0
        assert run["laws_broken"] == 0
    assert report["log_errors"] == []


def test_batches_are_counted(report):
    assert all(1 <= run["batch_mean"] <= 128 for run in report["runs"])


def test_the_yardstick_is_there(report):
    assert set(report["pgbench"]) == {"one_client_p50_ms", "clients_64_tps", "clients_64_p99_ms"}


def test_what_stands_beside_answers(report):
    assert tuple(report["beside"]) == BESIDE
    assert all(report["beside"][name]["not_answered"] == 0 for name in BESIDE[:4])
    assert report["beside"]["placed_to_paid"]["p50_ms"] > 0
