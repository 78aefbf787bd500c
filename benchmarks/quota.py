"""One resident's year, two accounts, many orders at once: the year is nearly used up before, and every order of the race is refused or fits."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg

from benchmarks.clients import Answer
from benchmarks.figures import Figures, add_laws
from benchmarks.ground import FILLER
from benchmarks.hall import PLACED, SMALL, Hall, Wish, count_undecided, opened, order_all
from benchmarks.processes import logged_errors
from entrepot.base.ids import derived_id
from entrepot.base.time import RealClock
from entrepot.books.stock.model import SUPPLIER, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.catalogue.commands import PriceChange, change_prices
from entrepot.catalogue.model import OfferFacts
from entrepot.catalogue.store import list_offers
from entrepot.cli.check import prove_laws
from entrepot.parties.buyers import register_buyers, verify_identities
from entrepot.parties.model import merchant_id_of
from entrepot.parties.people import IdentityClaim, NewBuyer, PersonalDetails
from entrepot.warehouse.store_floor import insert_lots

STORE, COUNTRY, POSTCODE, PLACE, CURRENCY = "CN_GP", "CN", "100000", "CN-NGB1", "CNY"
RESIDENT_ID, NAME = "11010519491231002X", "Flash Resident"
"""The sample number printed in the standard GB 11643."""
GOODS = (("demo-tasman-health", "TASMAN-VITAMIN-C", "2400.00", "L2409", date(2099, 9, 1)), ("demo-osaka-baby", "SAKURA-ROMPER", "900.00", "-", None))
"""Merchant, SKU, price, lot and expiry: two of the first are as much as one order may hold, and none of the second fits into what may be left."""
UNITS = 1_000
LARGE_MINOR, LEAST_MINOR = 480_000, 90_000
EARLIER = 4
ORDERS = 200


@dataclass(frozen=True)
class Resident:
    """One resident with two accounts, and what is offered to them."""

    identity_id: uuid.UUID
    accounts: tuple[uuid.UUID, uuid.UUID]
    offers: tuple[OfferFacts, OfferFacts]

    def wish(self, number: int, name: str, lines: tuple[tuple[int, int], ...]) -> Wish:
        """Return an order of one of the accounts in turn; lines are (number of the offer, quantity)."""
        chosen = tuple((self.offers[place].merchant_id, self.offers[place].offer_id, count) for place, count in lines)
        person_id = self.accounts[number % len(self.accounts)]
        return Wish(person_id, f"{name}-{number}", chosen, "cn_wallet", STORE, COUNTRY, POSTCODE, self.identity_id)


async def _settle_in(hall: Hall) -> Resident:
    """Register the resident's accounts and put the goods on sale."""
    at = RealClock().now()
    accounts = derived_id("flash_resident", 1), derived_id("flash_resident", 2)
    async with await psycopg.AsyncConnection.connect(hall.program.url) as conn:
        await register_buyers(conn, hall.keyring, [NewBuyer(one, COUNTRY, PersonalDetails(NAME)) for one in accounts], at)
        claims = [IdentityClaim(one, RESIDENT_ID, NAME, is_name_matched=True) for one in accounts]
        known = await verify_identities(conn, hall.keyring, claims, at)
        assert len({one.quota_person_id for one in known}) == 1
        offers: list[OfferFacts] = []
        for merchant, sku, price, lot, expires_on in GOODS:
            merchant_id = merchant_id_of(merchant)
            offer = next(one for one in await list_offers(conn, merchant_id) if (one.sku, one.marketplace_code) == (sku, STORE))
            await change_prices(conn, [PriceChange(merchant_id, offer.offer_id, Decimal(price), CURRENCY)], FILLER, at)
            await insert_lots(conn, {(merchant_id, offer.stock_item_id, lot): expires_on})
            key = (merchant_id, merchant_id, offer.stock_item_id)
            move = Move(Location(*key, SUPPLIER, lot_code=lot), Location(*key, PLACE, "bin:A-01", lot, customs_status="bonded"), UNITS)
            receipt = derived_id("flash_receipt", sku)
            await post_moves(conn, [StockPosting(merchant_id, receipt, at, "receipt", receipt, [move])])
            offers.append(offer)
    return Resident(known[0].quota_person_id, accounts, (offers[0], offers[1]))


@dataclass(frozen=True)
class Race:
    """Orders of one resident and what each was told: some before, which use most of the year, and all others at once."""

    resident: Resident
    before: tuple[Wish, ...]
    earlier: tuple[Answer, ...]
    wishes: tuple[Wish, ...]
    answers: tuple[Answer, ...]

    def won(self) -> list[tuple[Wish, str]]:
        """Return the orders that were placed, with their checkouts."""
        told = zip((*self.before, *self.wishes), (*self.earlier, *self.answers), strict=True)
        return [(wish, json.loads(one.body)["checkout_id"]) for wish, one in told if one.status in PLACED]


def hold_race(hall: Hall) -> Race:
    """Use most of the resident's year, then send all orders at once."""
    resident = asyncio.run(_settle_in(hall))
    before = [resident.wish(number, "earlier", ((0, 2),)) for number in range(EARLIER)]
    earlier, _ = order_all(hall, before, 1)
    assert [one.status for one in earlier] == [201] * EARLIER, earlier
    wishes = [resident.wish(number, "race", ((0, 2),) if number % 10 in {1, 5, 8} else ((1, 1),)) for number in range(ORDERS)]
    answers, _ = order_all(hall, wishes, ORDERS)
    return Race(resident, tuple(before), tuple(earlier), tuple(wishes), tuple(answers))


def report_race(hall: Hall, race: Race) -> dict[str, Any]:
    """Wait until the winners' payments are taken and customs has heard of their orders, and return what became of all."""
    with psycopg.connect(hall.program.url, autocommit=True) as conn:
        until_s = time.monotonic() + hall.scale.patience_s
        while count_undecided(conn) and time.monotonic() < until_s:
            time.sleep(0.1)
        report = _answers(race.answers) | _books(race, conn)
    report["laws"] = [asdict(law) for law in asyncio.run(prove_laws(hall.program.url))]
    report["log_errors"] = logged_errors(hall.cluster, hall.data)
    return report


def _answers(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what those who raced were told."""
    return {
        "orders": len(answers),
        "statuses": {str(status): count for status, count in sorted(Counter(one.status for one in answers).items())},
        "refusals": dict(Counter(json.loads(one.body)["code"] for one in answers if one.status not in PLACED)),
    }


def _books(race: Race, conn: psycopg.Connection) -> dict[str, Any]:
    """Return the year as it stands, and what those who were refused have, which is nothing."""
    resident, won = race.resident, race.won()
    year = conn.execute(_YEAR, {"person": resident.identity_id}).fetchone()
    assert year is not None
    known = {
        "accounts": list(resident.accounts),
        "items": [offer.stock_item_id for offer in resident.offers],
        "checkouts": [one for _, one in won],
        "keys": [wish.key for wish, _ in won],
    }
    return {
        "taken_minor": sum(LARGE_MINOR if wish.lines[0][2] == 2 else LEAST_MINOR for wish, _ in won),
        **dict(zip(("limit_minor", "used_minor", "held_minor", "free_minor", "given_back_minor"), map(int, year), strict=True)),
        **{name: len(conn.execute(statement, known).fetchall()) for name, statement in FAULTS.items()},
    }


_YEAR = """
    select limit_minor, used_minor, held_minor, free_minor,
      (select coalesce(sum(e.value_minor), 0) from quota_entry e where e.person_id = q.person_id and e.kind in ('release', 'return'))
    from quota_year q where person_id = %(person)s
"""
FAULTS = {
    "losers_with_checkout": "select 1 from checkout where person_id = any(%(accounts)s) and not checkout_id = any(%(checkouts)s::uuid[])",
    "losers_with_payment": "select 1 from payment where person_id = any(%(accounts)s) and not checkout_id = any(%(checkouts)s::uuid[])",
    "losers_with_key": "select 1 from person_request where person_id = any(%(accounts)s) and not request_key = any(%(keys)s) and request_key not like 'cancel:%%'",
    "losers_with_units": """
        select 1 from stock_reservation r left join customer_order c on c.merchant_id = r.merchant_id and c.order_id = r.holder_id
        where r.stock_item_id = any(%(items)s) and r.open_quantity > 0 and not coalesce(c.checkout_id = any(%(checkouts)s::uuid[]), false)""",
    "losers_with_quota": """
        select 1 from quota_entry e left join customer_order c on c.order_id = e.order_id
        where e.kind = 'hold' and not coalesce(c.checkout_id = any(%(checkouts)s::uuid[]), false)""",
    "winners_not_charged": """
        select 1 from checkout k join payment p on p.person_id = k.person_id and p.checkout_id = k.checkout_id
        where k.checkout_id = any(%(checkouts)s::uuid[]) and (k.state not in ('paid', 'refunded') or p.captured_minor <> k.total_minor)""",
}
"""What must not be there after the race: each statement finds the rows that break a promise."""


def measure_quota(figures: Figures) -> None:
    """Note the race."""
    with opened(SMALL) as hall:
        report = report_race(hall, hold_race(hall))
    counted, back = report["used_minor"] + report["held_minor"], report["given_back_minor"]
    placed, refused = report["statuses"].get("201", 0), report["refusals"].get("cbec_year_over_limit", 0)
    told = f"{placed} placed, {refused} refused; {counted / 100:,.2f} of {report['limit_minor'] / 100:,.2f} CNY counted, customs gave back {back / 100:,.2f}"
    is_never_over = counted == report["taken_minor"] - back and 0 <= counted <= report["limit_minor"] and placed + refused == report["orders"]
    name = f"quota, one identity, two accounts, {report['orders']} concurrent orders near the yearly limit"
    figures.add(name, "never over, each placed or told why not", told, is_never_over)
    left = report["free_minor"] - back
    figures.add("quota: left of the year, CNY", f"under {LEAST_MINOR / 100:,.2f}, the least order", f"{left / 100:,.2f}", left < LEAST_MINOR)
    faults = {fault: report[fault] for fault in FAULTS if report[fault]}
    figures.add("quota: losers' holds and charges", "none", faults or "none", not faults)
    figures.add("quota: deadlocks and errors in the logs", "none", len(report["log_errors"]) or "none", not report["log_errors"])
    add_laws(figures, "quota", report["laws"])
