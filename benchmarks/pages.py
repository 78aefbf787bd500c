"""A buyer, a merchant and an operator who look at their pages one after the other, and how long each page takes them."""

import asyncio
import http.client
import json
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import psycopg

from benchmarks.ground import MODEL
from benchmarks.hall import Hall, Wish, hot_offers, order_all
from benchmarks.measure import percentile
from entrepot.base.ids import derived_id
from entrepot.base.time import RealClock
from entrepot.bootstrap.processes import LOOPBACK
from entrepot.parties.accounts import NewStaff, StaffRole
from entrepot.parties.sign_in import create_staff, hash_password

PAUSE_S = 0.05
"""What a visitor reads before the next page."""
PASSWORD = "flash"  # noqa: S105 -- of accounts in a database that is thrown away
_TOKEN = re.compile(r'name="form_token" value="(\w+)"')
_PATIENCE_S = 60


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in, and the pages they go round, by name."""

    login: str
    pages: Mapping[str, str]


@dataclass
class Seen:
    """What visitors saw: seconds of each page by name, and answers that were no page."""

    took_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)

    def p95_ms(self) -> dict[str, float]:
        """Return the 95th percentile of each page."""
        return {name: percentile(values, 0.95) * 1000 for name, values in sorted(self.took_s.items())}


# -- who looks -------------------------------------------------------------------------------------------------------


def let_in(hall: Hall) -> list[Visitor]:
    """Give a buyer, a merchant of a SKU on sale and an operator an account; the buyer has an order, at that merchant, of goods that do not run out."""
    merchant_id, offer_id = hall.world.offers[hot_offers(hall)[0] + 1]
    person_id = hall.world.persons[0]
    answers, _ = order_all(hall, [Wish(person_id, "page", ((merchant_id, offer_id, 1),), "card_ok")], 1)
    assert answers[0].status == 201, answers
    order = next(f"/orders/{one['merchant_id']}/{one['order_id']}" for one in json.loads(answers[0].body)["orders"])
    asyncio.run(_create_accounts(hall.program.url, merchant_id, person_id))
    return [
        Visitor("flash-buyer", {"the buyer's orders": "/orders", "the buyer's order": order}),
        Visitor("flash-merchant", {"the merchant's orders": "/orders", "the merchant's order": order, "the merchant's stock": "/stock"}),
        Visitor(
            "flash-operator",
            {"the operator's home": "/operator", "the operator's orders": f"/orders?model={MODEL}", "the operator's order": order},
        ),
    ]


async def _create_accounts(url: str, merchant_id: uuid.UUID, person_id: uuid.UUID) -> None:
    hashed = hash_password(PASSWORD)
    accounts = [
        NewStaff(derived_id("flash_staff", 1), "flash-buyer", hashed, "Flash buyer", StaffRole.BUYER, person_id=person_id),
        NewStaff(derived_id("flash_staff", 2), "flash-merchant", hashed, "Flash merchant", StaffRole.MERCHANT_OWNER, merchant_id),
        NewStaff(derived_id("flash_staff", 3), "flash-operator", hashed, "Flash operator", StaffRole.OPERATOR),
    ]
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await create_staff(conn, accounts, RealClock().now())


# -- how they look ---------------------------------------------------------------------------------------------------


@contextmanager
def looking(hall: Hall, visitors: Sequence[Visitor]) -> Iterator[Seen]:
    """Let each visitor go round their pages during the block."""
    seen, is_over = Seen(), threading.Event()
    with ThreadPoolExecutor(len(visitors)) as threads:
        rounds = [threads.submit(_go_round, hall.program.port, one, seen, is_over) for one in visitors]
        try:
            yield seen
        finally:
            is_over.set()
    for one in rounds:
        one.result()  # what went wrong for a visitor is not passed over


def _go_round(port: int, visitor: Visitor, seen: Seen, is_over: threading.Event) -> None:
    """Sign in, then open one page after the other with a pause between them, each at least once; a page has been seen when its last byte has come."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_PATIENCE_S)
    headers = {"cookie": _sign_in(connection, visitor.login)}
    is_first = True
    while is_first or not is_over.is_set():
        is_first = False
        for name, path in visitor.pages.items():
            began_s = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
            seen.took_s[name].append(time.perf_counter() - began_s)
            if answer.status != 200:
                seen.failures.append(f"{visitor.login} {path}: {answer.status} {text[:200]!r}")
            time.sleep(PAUSE_S)
    connection.close()


def _sign_in(connection: http.client.HTTPConnection, login: str) -> str:
    """Sign in through the form and return the session's cookie."""
    connection.request("GET", "/sign-in")
    form = connection.getresponse()
    found = _TOKEN.search(form.read().decode())
    assert found is not None
    fields = urlencode({"form_token": found[1], "login": login, "password": PASSWORD, "next": "/"})
    headers = {"content-type": "application/x-www-form-urlencoded", "cookie": _cookie(form)}
    connection.request("POST", "/sign-in", fields, headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    return _cookie(answer)


def _cookie(answer: http.client.HTTPResponse) -> str:
    return (answer.getheader("set-cookie") or "").partition(";")[0]
