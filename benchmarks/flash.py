"""The flash sale: many more buyers than units, over HTTP, with payments that are slow, declined, late or lost, on the running program.

Every buyer sends one order; all of them come at once, as many at a time as the scale says. What a declined payment, a lost one or a hold that
ended gives back is for sale again: whoever was refused for lack of units tries again, under the same key, once the shelf shows units for it,
twice as many buyers as there are units, so that they race each time. In the first such waves they pay as they meant to, so that some fail
again; from then on they bring a card that works, so that the sale comes to an end. It is over when no payment is undecided and no unit is
free. Some buyers want other goods, which do not run out: their late payments are honoured, those for what is sold out are refunded.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.clients import Answer
from benchmarks.figures import Figures, add_laws
from benchmarks.ground import STORE
from benchmarks.hall import FULL, PLACED, SMALL, Hall, Wish, count_undecided, hot_offers, moving_clock, opened, order_all
from benchmarks.measure import percentile
from benchmarks.pages import let_in, looking
from benchmarks.processes import logged_errors
from benchmarks.quota import hold_race, report_race
from entrepot.cli.check import prove_laws

METHODS = (
    "card_ok", "card_ok", "card_slow", "card_ok", "card_declined", "invoice", "card_ok", "card_late", "card_ok", "card_slow",
    "card_ok", "card_timeout", "invoice", "card_late", "card_declined", "card_ok", "card_slow", "card_late", "card_ok", "card_timeout",
)  # fmt: skip
"""How twenty buyers pay: eight by card, two by invoice, three through a slow bank, two are declined, two banks are lost, three come too late."""
MOST_WAVES = 60
WARM_S, IDLE_S = 3, 10
ALLOWED_RATIO = 10
RIVALS = 2
"""Buyers who try again for each unit that is free."""
UNTOUCHED = frozenset({5})
"""The law about import years: nothing is sold into China."""
ENDS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("card_ok", "invoice", "card_slow", "card_late"), frozenset({"paid", "refunded"})),
    **dict.fromkeys(("card_declined", "card_timeout"), frozenset({"declined", "expired"})),
}
"""How the checkouts of each method of payment may end; customs may send back what crosses a border."""
_LINE = re.compile(r"lines\[[^\]]+\]\.quantity")
_LEFT = re.compile(r"\d+ units ")


@dataclass
class Sale:
    """The sale as its buyers see it: what each wishes, the last answer each got, and what the waves were like."""

    hall: Hall
    wishes: list[Wish]
    answers: dict[int, Answer] = field(default_factory=dict)
    waves: list[int] = field(default_factory=list)
    tries: Counter[int] = field(default_factory=Counter[int])
    passing: int = 0
    rush_s: float = 0.0
    took_s: float = 0.0

    def refused(self) -> list[int]:
        """Return who has no order, those who tried least often first."""
        return sorted((n for n, answer in self.answers.items() if answer.status not in PLACED), key=lambda n: (self.tries[n], n))


def wishes_of(hall: Hall) -> list[Wish]:
    """Return what each buyer wants and how they pay; the same for the same scale."""
    return [
        Wish(person_id, f"flash-{number}", _lines_of(hall, number), METHODS[(number * 7 + number // 20) % len(METHODS)])
        for number, person_id in enumerate(hall.world.persons)
    ]


def _lines_of(hall: Hall, number: int) -> tuple[tuple[Any, Any, int], ...]:
    """Return the lines of one buyer: mostly one unit, some two of them, some of two merchants, some with other goods, a few nothing else."""
    hot, skus = hot_offers(hall), hall.world.size.skus
    first = hot[(number // 3) % len(hot)]
    other = first + 1 + number // 7 % (skus - 1)
    second = hot[(number // 3 + 1) % len(hot)]
    chosen = {
        3: [(first, 2)],
        7: [(first, 1), (second, 1)],
        11: [(second, 1), (first, 2)],
        14: [(first, 1), (other, 1)],
        19: [(other, 1)],
    }.get(number % 20, [(first, 1)])
    return tuple((*hall.world.offers[offer], count) for offer, count in chosen)


# -- the sale --------------------------------------------------------------------------------------------------------


def hold_sale(hall: Hall) -> Sale:
    """Let all buyers come at once, then those who were refused as long as units come back; the business clock moves meanwhile."""
    sale = Sale(hall, wishes_of(hall))
    began_s = time.monotonic()
    with moving_clock(hall), psycopg.connect(hall.program.url, autocommit=True) as conn:
        come(sale, range(len(sale.wishes)))
        sale.rush_s = time.monotonic() - began_s
        while len(sale.waves) < MOST_WAVES and (hopeful := _await_hopeful(sale, conn)):
            come(sale, hopeful)
    sale.took_s = time.monotonic() - began_s
    return sale


def come(sale: Sale, numbers: Sequence[int]) -> None:
    """Let these buyers order."""
    has_learnt = len(sale.waves) > sale.hall.scale.mixed_waves
    wishes = [replace(sale.wishes[n], method="card_ok") if has_learnt else sale.wishes[n] for n in numbers]
    answers, passing = order_all(sale.hall, wishes, sale.hall.scale.clients)
    sale.passing += passing
    sale.waves.append(len(numbers))
    sale.tries.update(numbers)
    for number, wish, answer in zip(numbers, wishes, answers, strict=True):
        sale.wishes[number] = wish
        sale.answers[number] = answer


def _await_hopeful(sale: Sale, conn: psycopg.Connection) -> list[int]:
    """Wait until units are free that somebody still wants and return who comes for them; nobody when all payments are decided and none is."""
    until_s = time.monotonic() + sale.hall.scale.patience_s
    while time.monotonic() < until_s:
        undecided = count_undecided(conn)
        hopeful = _hopeful(sale, read_free(sale.hall, conn))
        if hopeful or not undecided:
            return hopeful
        time.sleep(0.2)
    raise SystemExit(f"{count_undecided(conn)} payments were not decided within {sale.hall.scale.patience_s:.0f} seconds.")


def _hopeful(sale: Sale, free: dict[Any, int]) -> list[int]:
    """Return the refused buyers whose whole wish is on the shelf now, some for each unit."""
    room = {offer: count * RIVALS for offer, count in free.items()}
    chosen: list[int] = []
    for number in sale.refused():
        wanted = {offer: count for _, offer, count in sale.wishes[number].lines if offer in free}
        if wanted and all(free[offer] >= count and room[offer] >= count for offer, count in wanted.items()):
            chosen.append(number)
            for offer, count in wanted.items():
                room[offer] -= count
    return chosen


def read_free(hall: Hall, conn: psycopg.Connection) -> dict[Any, int]:
    """Return how many units of each SKU on sale are free, by offer."""
    offers = [hall.world.offers[place][1] for place in hot_offers(hall)]
    rows = conn.execute(
        """select o.offer_id, sum(a.on_hand - a.reserved)::int from offer o
           join stock_availability a on a.merchant_id = o.merchant_id and a.stock_item_id = o.stock_item_id
           where o.offer_id = any(%s) group by 1""",
        [offers],
    ).fetchall()
    return {row[0]: int(row[1]) for row in rows}


# -- what came of it -------------------------------------------------------------------------------------------------


def report_of(sale: Sale) -> dict[str, Any]:
    """Return everything that a reader asks after the sale, from the answers and from the books."""
    hall = sale.hall
    statuses = Counter(answer.status for answer in sale.answers.values())
    refused = [n for n, answer in sale.answers.items() if answer.status not in PLACED]
    told = [_told(sale.answers[n]) for n in refused]
    latencies = [answer.took_s for answer in sale.answers.values()]
    with psycopg.connect(hall.program.url, autocommit=True) as conn:
        books = _books(sale, conn)
    return {
        "buyers": len(sale.wishes),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "refusals": dict(Counter(code for code, _ in told)),
        "unclear": sum(not is_clear for _, is_clear in told),
        "passing": sale.passing,
        "waves": sale.waves,
        "rush_s": round(sale.rush_s, 2),
        "took_s": round(sale.took_s, 2),
        "p50_ms": round(percentile(latencies, 0.5) * 1000, 1),
        "p99_ms": round(percentile(latencies, 0.99) * 1000, 1),
        **books,
    }


def _told(answer: Answer) -> tuple[str, bool]:
    """Return the code of a refusal, and whether it names the line and how many units are left."""
    problem = json.loads(answer.body)
    is_clear = _LINE.fullmatch(problem.get("field", "")) is not None and _LEFT.search(problem.get("remedy", "")) is not None
    return problem["code"], 400 <= answer.status < 500 and is_clear


def _books(sale: Sale, conn: psycopg.Connection) -> dict[str, Any]:
    """Return what the books say: units, checkouts, payments, and everything that must not be there."""
    world = sale.hall.world
    offers = [world.offers[place][1] for place in hot_offers(sale.hall)]
    placed = {json.loads(answer.body)["checkout_id"] for answer in sale.answers.values() if answer.status in PLACED}
    persons = [sale.wishes[n].person_id for n, answer in sale.answers.items() if answer.status not in PLACED]
    units = conn.execute(_UNITS, {"offers": offers}).fetchall()
    states = conn.execute(_STATES, {"store": STORE}).fetchall()
    stored = {str(row[0]) for row in conn.execute("select checkout_id from checkout where marketplace_code = %s", [STORE]).fetchall()}
    return {
        "units": [{"sku": sku, "on_hand": on_hand, "reserved": reserved, "paid": paid} for sku, on_hand, reserved, paid in units],
        "checkouts": {f"{method} {state}": count for method, state, count in states},
        "answers_without_checkout": len(placed - stored),
        "checkouts_without_answer": len(stored - placed),
        **{name: len(conn.execute(statement, {"persons": persons, "store": STORE}).fetchall()) for name, statement in _FAULTS.items()},
    }


_UNITS = """
    select i.sku,
      (select sum(a.on_hand)::int from stock_availability a where a.merchant_id = o.merchant_id and a.stock_item_id = o.stock_item_id),
      (select sum(a.reserved)::int from stock_availability a where a.merchant_id = o.merchant_id and a.stock_item_id = o.stock_item_id),
      (select coalesce(sum(l.quantity - l.cancelled), 0)::int from order_line l
         join customer_order c on c.merchant_id = l.merchant_id and c.order_id = l.order_id
         join checkout k on k.person_id = c.person_id and k.checkout_id = c.checkout_id
         where l.offer_id = o.offer_id and k.state = 'paid')
    from offer o join stock_item i on i.merchant_id = o.merchant_id and i.stock_item_id = o.stock_item_id
    where o.offer_id = any(%(offers)s) order by 1
"""
_STATES = "select method_code, state, count(*) from checkout where marketplace_code = %(store)s group by 1, 2 order by 1, 2"
_FAULTS = {
    "refused_with_checkout": "select 1 from checkout where person_id = any(%(persons)s)",
    "refused_with_payment": "select 1 from payment where person_id = any(%(persons)s)",
    "refused_with_key": "select 1 from person_request where person_id = any(%(persons)s)",
    "undecided": "select 1 from checkout where state = 'awaiting_payment' and marketplace_code = %(store)s",
    "held_without_order": """
        select 1 from stock_reservation r left join customer_order c on c.merchant_id = r.merchant_id and c.order_id = r.holder_id
        left join checkout k on k.person_id = c.person_id and k.checkout_id = c.checkout_id
        where r.open_quantity > 0 and k.state is distinct from 'paid'""",
    "charged_without_goods": """
        select 1 from checkout k join payment p on p.person_id = k.person_id and p.checkout_id = k.checkout_id
        join customer_order c on c.checkout_id = k.checkout_id
        join order_line l on l.merchant_id = c.merchant_id and l.order_id = c.order_id
        where k.marketplace_code = %(store)s
        group by k.checkout_id, k.state, p.captured_minor, p.refunded_minor
        having abs(p.captured_minor - p.refunded_minor - case when k.state <> 'paid' then 0 else
            sum((l.goods_minor - l.discount_minor + l.freight_minor + l.insurance_minor + l.tax_on_top_minor + l.duty_minor)
                * (l.quantity - l.cancelled) / l.quantity) end) > count(*) filter (where l.cancelled between 1 and l.quantity - 1)""",
    "undecided_entries": """
        select 1 from money_posting p where p.phase = 'pending'
        and not exists (select 1 from money_posting d where d.merchant_id = p.merchant_id and d.pending_id = p.posting_id)""",
    "booked_otherwise_than_charged": """
        select 1 from payment p where p.captured_minor - p.refunded_minor <> coalesce((
            select sum(e.amount_minor) from money_posting m join money_entry e on e.merchant_id = m.merchant_id and e.posting_id = m.posting_id
            where m.checkout_id = p.checkout_id and m.phase in ('posted', 'post') and e.account_code = 'psp'), 0)""",
}
"""What must not be in the books after a sale: each statement finds the rows that break a promise.

What customs refuses is paid back, so a buyer is charged for the units that were not cancelled; sharing a line out may round by one minor unit.
"""
FAULTS = ("answers_without_checkout", "checkouts_without_answer", *_FAULTS)


def is_settled(checkouts: Mapping[str, int]) -> bool:
    """Tell whether all methods were used and every checkout has ended as its bank decided."""
    ended = [name.split() for name in checkouts]
    return {method for method, _ in ended} == set(ENDS) and all(state in ENDS[method] for method, state in ended)


def run_sale(hall: Hall) -> dict[str, Any]:
    """Hold a sale and return its report with the laws and what the logs complain about."""
    report = report_of(hold_sale(hall))
    report["laws"] = [asdict(law) for law in asyncio.run(prove_laws(hall.program.url))]
    report["log_errors"] = logged_errors(hall.cluster, hall.data)
    return report


def measure_flash(figures: Figures) -> None:
    """Note a sale of the full size."""
    with opened(FULL) as hall:
        report = run_sale(hall)
    stock = sum(FULL.size.home_units + FULL.size.far_units)
    name = f"flash sale, {FULL.hot_skus} SKUs x {stock:,} units, {report['buyers']:,} buyers, {FULL.clients} at a time"
    told = ", ".join(f"{one['paid']:,} of {one['on_hand']:,}" for one in report["units"])
    is_sold = all(one["paid"] == one["reserved"] == one["on_hand"] == stock for one in report["units"])
    figures.add(f"{name}: units sold", "exactly the stock", told, is_sold)
    placed, refused = (sum(report["statuses"].get(status, 0) for status in group) for group in (("200", "201"), ("409", "422")))
    times = f"in {report['rush_s']:.0f} s, p50 {report['p50_ms']:,.0f} ms, p99 {report['p99_ms']:,.0f} ms"
    told = f"{placed:,} placed, {refused:,} refused, {report['unclear']:,} unclear, {report['passing']:,} told to wait; the rush {times}"
    figures.add("flash: answers", "a clear one for every buyer", told, placed + refused == report["buyers"] and report["unclear"] == 0)
    told = ", ".join(f"{name} {count:,}" for name, count in report["checkouts"].items())
    figures.add("flash: payments", "declined and lost charged nothing, late honoured or refunded", told, is_settled(report["checkouts"]))
    faults = {fault: report[fault] for fault in FAULTS if report[fault]}
    figures.add("flash: holds, charges and entries of who got nothing", "none", faults or "none", not faults)
    figures.add("flash: deadlocks and errors in the logs", "none", len(report["log_errors"]) or "none", not report["log_errors"])
    add_laws(figures, "flash", report["laws"], UNTOUCHED)


# -- pages beside the sale -------------------------------------------------------------------------------------------


def measure_pages(figures: Figures) -> None:
    """Note the pages' p95 during the rush of a sale of the full size against that over the same books when nothing else happens."""
    with opened(FULL) as hall:
        report = watch_sale(hall)
    for name, idle_ms in report["idle_ms"].items():
        during_ms = report["during_ms"][name]
        ratio = during_ms / idle_ms
        told = f"{ratio:.1f}: {during_ms:.0f} ms against {idle_ms:.0f} ms, seen {report['seen'][name]} times"
        figures.add(f"pages during the flash sale: p95 of {name} against idle", f"under {ALLOWED_RATIO}", told, ratio < ALLOWED_RATIO)
    figures.add("pages: answers that are no page", "none", len(report["failures"]) or "none", not report["failures"])


def watch_sale(hall: Hall) -> dict[str, Any]:
    """Look at pages during the rush of a sale, then over its books when the worker is done, so that a list is as long in either."""
    visitors = let_in(hall)
    with looking(hall, visitors):
        time.sleep(WARM_S)
    sale = Sale(hall, wishes_of(hall))
    with moving_clock(hall), looking(hall, visitors) as during:
        come(sale, range(len(sale.wishes)))
    _await_rest(hall)
    with looking(hall, visitors) as idle:
        time.sleep(IDLE_S)
    return {
        "idle_ms": idle.p95_ms(),
        "during_ms": during.p95_ms(),
        "seen": {name: len(values) for name, values in during.took_s.items()},
        "failures": [*idle.failures, *during.failures],
    }


def _await_rest(hall: Hall) -> None:
    """Wait until the worker has nothing to do."""
    until_s = time.monotonic() + hall.scale.patience_s
    with psycopg.connect(hall.program.url, autocommit=True) as conn:
        while conn.execute("select 1 from due_work join business_clock on true where due_at <= business_at limit 1").fetchone() is not None:
            if time.monotonic() > until_s:
                raise SystemExit(f"The worker was not done within {hall.scale.patience_s:.0f} seconds.")
            time.sleep(0.2)


def main() -> int:
    """Run a race for a resident's year, hold a sale, look at pages, and write the report of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="A sale of three SKUs with 20 units each to 120 buyers.")
    parser.add_argument("--out", type=Path, help="Where the report goes; else it is printed.")
    args = parser.parse_args()
    with opened(SMALL if args.small else FULL) as hall:
        race = hold_race(hall)
        report = {"sale": run_sale(hall), "quota": report_race(hall, race)}
        with looking(hall, let_in(hall)) as seen:
            pass  # each page once
        report["pages"] = {"seen": {name: len(values) for name, values in seen.took_s.items()}, "failures": seen.failures}
    text = json.dumps(report, indent=2) + "\n"
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
