"""The merchant's first page: what is due, by deadline; sales, balance, the next payout, and how well orders are kept."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from litestar import Response, get
from msgspec import Struct

from entrepot.aftersales.model import ReturnState
from entrepot.aftersales.performance import Bound, FigureCode, figures, load_performance_targets, meets, target_on
from entrepot.aftersales.record_performance import count_performance
from entrepot.aftersales.store import list_returns
from entrepot.base.money import major
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.books.money.model import MERCHANT
from entrepot.books.money.read import read_balances
from entrepot.books.money.statement_lines import RESERVED
from entrepot.books.stock.stock_list import read_free_units
from entrepot.catalogue.store import list_offers
from entrepot.operations.model import Role
from entrepot.orders.sales_list import DaySales, read_day_sales
from entrepot.parties.model import KycState
from entrepot.parties.store import read_kyc_cases
from entrepot.settlement.model import period_of
from entrepot.surfaces.web.access import MERCHANTS, VisitorDep, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.merchant.messages import INBOX, read_talks
from entrepot.surfaces.web.merchant.own import clock_tone, clock_words, read_own
from entrepot.surfaces.web.merchant.ship_queue import QUEUE, read_waiting
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import money, short_day, words

_SHOWN: Final = 12
_CHART_DAYS: Final = 14
_WINDOW_DAYS: Final = 30
_LOW: Final = 3
_FIGURES: Final[Mapping[FigureCode, str]] = {
    FigureCode.LATE_SHIPMENT_RATE: mark("Shipped late"),
    FigureCode.VALID_TRACKING_RATE: mark("Valid tracking"),
    FigureCode.CANCEL_RATE: mark("Cancelled by you"),
    FigureCode.DEFECT_RATE: mark("Orders with a defect"),
}


class Task(Struct, frozen=True):
    """Something to do: until when, if there is a deadline, what, about what, and where it is done."""

    due_at: datetime | None
    what: str
    about: str
    href: str
    clock: str
    tone: str


class Figure(Struct, frozen=True):
    """A rate of the merchant's performance with its target."""

    name: str
    part: int
    whole: int
    rate: Decimal | None
    target: Decimal | None
    is_below: bool
    is_met: bool


@get("/merchant", opt=open_to(MERCHANTS))
async def show_merchant_home(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what is due and how business is."""
    spoken = visitor.language
    async with house.database.reading() as conn:
        now = await business_now(conn)
        merchant = await read_own(conn, visitor)
        today = now.astimezone(ZoneInfo(merchant.time_zone)).date()
        since = datetime.combine(today - timedelta(days=_CHART_DAYS - 1), datetime.min.time(), ZoneInfo(merchant.time_zone)).astimezone(UTC)
        tasks = await read_tasks(conn, merchant.merchant_id, spoken, now)
        sales = await read_day_sales(conn, merchant.merchant_id, since, merchant.time_zone)
        balances = await read_balances(conn, merchant.merchant_id)
        rates = await read_figures(conn, merchant.merchant_id, now)
    available = [(one.currency, -one.posted_minor) for one in balances if one.account_code == MERCHANT and one.posted_minor]
    reserve = [(one.currency, -one.posted_minor) for one in balances if one.account_code == RESERVED and one.posted_minor]
    ends_on = period_of(now.date()).ends_before
    values: dict[str, object] = {
        "merchant": merchant,
        "now": now,
        "tasks": tasks[:_SHOWN],
        "task_count": len(tasks),
        "late_count": sum(one.due_at is not None and one.due_at < now for one in tasks),
        "today": [(one.currency, one.total_minor) for one in sales if one.on == today],
        "today_count": sum(one.order_count for one in sales if one.on == today),
        "available": available,
        "reserve": reserve,
        "payout_on": ends_on,
        "days": _chart(spoken, sales, today),
        "figures": rates,
        "window_days": _WINDOW_DAYS,
    }
    return page("merchant/home.html", visitor, values)


async def read_tasks(conn: Conn, merchant_id: uuid.UUID, spoken: Language, now: datetime) -> list[Task]:
    """Return what waits for the merchant: what has a deadline first, the most urgent on top."""
    _ = spoken.gettext
    tasks = [
        _task(
            spoken,
            now,
            one.consignment.ship_by_at,
            _("Ship %(number)s", number=one.order.number),
            "; ".join(title for _no, title, _units in one.parts),
            f"{QUEUE}/{one.consignment.consignment_id}",
        )
        for one in await read_waiting(conn, merchant_id, now, spoken)
    ]
    tasks += [
        _task(spoken, now, one.due_at, _("Answer the buyer"), one.order.number if one.order is not None else "", f"{INBOX}/{one.thread.order_id}")
        for one in await read_talks(conn, merchant_id)
        if one.due_at is not None
    ]
    tasks += [
        Task(None, _("Decide a return"), words(spoken, one.reason_code), f"/merchant/returns/{one.rma_id}", "", "neutral")
        for one in await list_returns(conn, merchant_id, [ReturnState.REQUESTED], now + timedelta(days=1), _SHOWN)
        if one.decider_role == Role.MERCHANT
    ]
    tasks += [
        Task(None, _("Correct a document"), one.reason, "/merchant/start", "", "danger")
        for one in await read_kyc_cases(conn, [merchant_id])
        if one.state == KycState.REJECTED
    ]
    tasks += await _low_stock(conn, merchant_id, spoken, now)
    return sorted(tasks, key=_urgency)


async def _low_stock(conn: Conn, merchant_id: uuid.UUID, spoken: Language, now: datetime) -> list[Task]:
    """Return a task for every SKU on sale of which next to nothing is free any more."""
    free = await read_free_units(conn, merchant_id)
    low = {one.sku: one for one in await list_offers(conn, merchant_id) if one.is_salable(now) and free.get(one.stock_item_id, 0) <= _LOW}
    return [
        Task(
            None,
            spoken.gettext("Low stock of %(sku)s", sku=sku),
            spoken.ngettext("%(num)s unit free", "%(num)s units free", free.get(one.stock_item_id, 0)),
            f"/merchant/stock/{sku}",
            "",
            "warning",
        )
        for sku, one in sorted(low.items())
    ]


async def read_figures(conn: Conn, merchant_id: uuid.UUID, now: datetime) -> list[Figure]:
    """Return how well the merchant kept its orders in the last days, beside the targets in force."""
    counted = await count_performance(conn, [merchant_id], now - timedelta(days=_WINDOW_DAYS), now)
    targets = load_performance_targets()
    told: list[Figure] = []
    for code, rate in figures(counted.get(merchant_id, {})).items():
        target = target_on(targets, code, now.date())
        told.append(
            Figure(
                _FIGURES[code],
                rate.part,
                rate.whole,
                Decimal(rate.part) / rate.whole if rate.whole else None,
                Decimal(target.rate_bp) / 10_000 if target is not None else None,
                target is None or target.bound is Bound.BELOW,
                target is None or meets(target, rate),
            )
        )
    return told


def _task(spoken: Language, now: datetime, due_at: datetime, what: str, about: str, href: str) -> Task:
    return Task(due_at, what, about, href, clock_words(spoken, now, due_at), clock_tone(now, due_at))


def _urgency(task: Task) -> tuple[bool, datetime, str]:
    return (task.due_at is None, task.due_at or start_of_day(date(2000, 1, 1)), task.what)


def _chart(spoken: Language, sales: Sequence[DaySales], today: date) -> tuple[str, list[tuple[str, list[tuple[str, str]]]]] | None:
    """Return the currency most is sold in, and what was sold in it day by day."""
    sums: dict[str, int] = {}
    for one in sales:
        sums[one.currency] = sums.get(one.currency, 0) + one.order_count
    if not sums:
        return None
    currency = max(sorted(sums), key=lambda code: sums[code])
    by_day = {one.on: one for one in sales if one.currency == currency}
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    for back in range(_CHART_DAYS - 1, -1, -1):
        on = today - timedelta(days=back)
        minor = by_day[on].total_minor if on in by_day else 0
        rows.append((short_day(spoken, on), [(str(major(minor, currency)), money(spoken, minor, currency))]))
    return currency, rows
