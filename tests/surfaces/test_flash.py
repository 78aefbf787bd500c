"""A small flash sale and a race for one resident's year on the running program: who gets what is counted, how fast it goes is never asked."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from benchmarks.flash import FAULTS, is_settled
from benchmarks.quota import FAULTS as QUOTA_FAULTS
from benchmarks.quota import LEAST_MINOR

ROOT = Path(__file__).parents[2]
BUYERS, SKUS, UNITS = 120, 3, 20


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Mapping[str, Any]:
    out = tmp_path_factory.mktemp("flash") / "flash.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    command = [sys.executable, "-m", "benchmarks.flash", "--small", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


@pytest.fixture
def sale(report):
    return report["sale"]


@pytest.fixture
def quota(report):
    return report["quota"]


def test_exactly_the_stock_is_sold(sale):
    assert [(one["on_hand"], one["reserved"], one["paid"]) for one in sale["units"]] == [(UNITS, UNITS, UNITS)] * SKUS


def test_every_buyer_has_a_clear_answer(sale):
    assert sale["waves"][0] == sale["buyers"] == BUYERS
    assert set(sale["statuses"]) == {"201", "409"}
    assert sum(sale["statuses"].values()) == BUYERS
    assert sale["refusals"] == {"not_enough_units": sale["statuses"]["409"]}
    assert sale["unclear"] == 0


def test_who_got_nothing_holds_nothing_and_paid_nothing(sale):
    assert {fault: sale[fault] for fault in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert sum(sale["checkouts"].values()) == sale["statuses"]["201"]


def test_each_payment_ends_as_its_bank_decides(sale):
    assert is_settled(sale["checkouts"]), sale["checkouts"]
    assert sale["checkouts"]["card_late paid"] >= 2, "two buyers of goods that do not run out pay too late"


def test_a_residents_year_is_never_exceeded(quota):
    counted, back = quota["used_minor"] + quota["held_minor"], quota["given_back_minor"]
    assert set(quota["statuses"]) == {"201", "422"}
    assert sum(quota["statuses"].values()) == quota["orders"] == 200
    assert quota["refusals"] == {"cbec_year_over_limit": quota["statuses"]["422"]}
    assert counted == quota["taken_minor"] - back
    assert quota["limit_minor"] == counted + quota["free_minor"] == 2_600_000
    assert quota["free_minor"] - back < LEAST_MINOR, "an order that would have fitted was refused"


def test_losers_of_the_year_hold_nothing_and_paid_nothing(quota):
    assert {fault: quota[fault] for fault in QUOTA_FAULTS} == dict.fromkeys(QUOTA_FAULTS, 0)


def test_pages_show_what_the_sale_left(report):
    assert report["pages"]["failures"] == []
    assert {"the buyer's order", "the merchant's order", "the merchant's orders", "the operator's home"} <= set(report["pages"]["seen"])


@pytest.mark.parametrize("part", ["sale", "quota"])
def test_all_laws_hold_and_nothing_complains(report, part):
    assert [(law["law"], law["rows"]) for law in report[part]["laws"]] == [(number, []) for number in range(1, 9)]
    assert report[part]["log_errors"] == []
