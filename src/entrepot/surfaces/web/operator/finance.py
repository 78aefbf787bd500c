"""Finance: what the books sum to, today's proof of the laws, and the settlement run with its statements, payouts and invoices."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.sql import Conn
from entrepot.books.money.read import read_totals
from entrepot.flows.settle_period import close_periods
from entrepot.parties.store import read_merchants
from entrepot.settlement.lists import (
    ListedInvoice,
    ListedPayout,
    ListedStatement,
    count_payout_states,
    find_invoices,
    find_payouts,
    find_statements,
    read_statement,
)
from entrepot.settlement.model import PERIOD_DAYS, PayoutState, StatementState, period_of
from entrepot.settlement.standing import read_last_closed
from entrepot.settlement.statements import read_statement_lines
from entrepot.surfaces.web.access import HOUSE, FormDep, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query
from entrepot.surfaces.web.operator.audiences import BOOKKEEPERS
from entrepot.surfaces.web.operator.rows import Texts, ask_of
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import plain_words

STATEMENTS: Final = Listing(
    "statements",
    "/operator/finance",
    (
        Column("merchant", mark("Merchant"), is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("from", mark("Period from"), Kind.DAY, is_sortable=True),
        Column("to", mark("Before"), Kind.DAY, is_sortable=True),
        Column("opening", mark("Opening balance"), Kind.MONEY, is_sortable=True),
        Column("closing", mark("Closing balance"), Kind.MONEY, is_sortable=True),
        Column("paid", mark("Paid out"), Kind.MONEY, is_sortable=True),
    ),
    (Filter("q", mark("Merchant or currency")), Filter("state", mark("Any state"), tuple((str(one), plain_words(one)) for one in StatementState))),
    sort="-to",
)
STATEMENT_TEXTS: Final = Texts(
    "finance",
    mark("Finance"),
    mark("What the books sum to, their proof, and what is paid out"),
    mark("No statement yet"),
    mark("The first settlement run writes a statement for every merchant with a balance."),
)
PAYOUTS: Final = Listing(
    "payouts",
    "/operator/payouts",
    (
        Column("merchant", mark("Merchant"), is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("changed", mark("Changed"), Kind.TIME, is_sortable=True),
        Column("reference", mark("Bank reference"), Kind.CODE),
        Column("attempts", mark("Attempts"), Kind.NUMBER, is_sortable=True),
        Column("failure", mark("Why it failed")),
        Column("paid", mark("Amount"), Kind.MONEY, is_sortable=True),
    ),
    (Filter("q", mark("Merchant, reference or id")), Filter("state", mark("Any state"), tuple((str(one), plain_words(one)) for one in PayoutState))),
    (View("failed", mark("Failed"), {"state": str(PayoutState.FAILED)}),),
    sort="-changed",
)
PAYOUT_TEXTS: Final = Texts(
    "finance",
    mark("Payouts"),
    mark("What the bank was asked to pay to merchants"),
    mark("Nothing was paid out yet"),
    mark("A settlement run asks for payouts of positive balances."),
)
INVOICES: Final = Listing(
    "invoices",
    "/operator/invoices",
    (
        Column("number", mark("Number"), is_sortable=True),
        Column("kind", mark("Kind"), Kind.WORDS, is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("issuer", mark("Issuer"), is_sortable=True),
        Column("recipient", mark("Recipient"), is_sortable=True),
        Column("country", mark("Country"), Kind.COUNTRY, is_optional=True),
        Column("issued", mark("Issued"), Kind.TIME, is_sortable=True),
        Column("tax", mark("Tax"), Kind.MONEY, is_sortable=True),
        Column("gross", mark("Gross"), Kind.MONEY, is_sortable=True),
    ),
    (Filter("q", mark("Number, issuer or recipient")),),
    sort="-issued",
)
INVOICE_TEXTS: Final = Texts(
    "finance",
    mark("Invoices"),
    mark("Every invoice with its number, gapless per issuer and series"),
    mark("No invoice yet"),
    mark("Invoices are written for sales and fees and numbered at closing."),
)


class NoSuchStatementError(UnknownReferenceError):
    """No statement has this id."""


@get("/operator/finance", opt=open_to(BOOKKEEPERS))
async def show_finance(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show the sums of the books by currency, the proof, what the next run closes, and all statements."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        totals = await read_totals(conn)
        last = await read_last_closed(conn)
    sums: dict[str, list[int]] = {}
    for _, currency, posted, pending in totals:
        row = sums.setdefault(currency, [0, 0, 0, 0])
        row[0] += max(posted, 0)
        row[1] += max(-posted, 0)
        row[2] += posted
        row[3] += pending
    current = period_of(now.date())
    complete = period_of(now.date() - timedelta(days=PERIOD_DAYS))

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        async with house.database.reading() as conn:
            found = await find_statements(conn, await ask_of(conn, ask, limit, offset))
            names = await _names(conn, [one.merchant_id for one in found.rows])
        sums = {
            "opening": found.sums.get("opening_minor", ()),
            "closing": found.sums.get("closing_minor", ()),
            "paid": found.sums.get("paid_out_minor", ()),
        }
        return Found([_statement_row(one, names) for one in found.rows], found.count, sums if found.sums else {}, {}, found.has_more)

    values: dict[str, object] = {
        "now": now,
        "sums": sorted(sums.items()),
        "last_closed": last,
        "complete": complete,
        "current": current,
        "is_due": last is None or last < complete.ends_before,
    }
    values |= {"texts": STATEMENT_TEXTS, "done": ""}
    return await answer_listing("operator/finance.html", visitor, house, STATEMENTS, list_query(request), find, values)


async def _names(conn: Conn, merchant_ids: Sequence[uuid.UUID | None]) -> dict[uuid.UUID, str]:
    known = sorted({one for one in merchant_ids if one is not None})
    return {key: one.name for key, one in (await read_merchants(conn, known)).items()}


def _statement_row(one: ListedStatement, names: Mapping[uuid.UUID, str]) -> Row:
    cells = {
        "merchant": Cell(names.get(one.merchant_id, ""), href=f"/operator/statements/{one.merchant_id}/{one.statement_id}"),
        "state": Cell(one.state),
        "from": Cell(one.period_from),
        "to": Cell(one.period_to),
        "opening": Cell(one.opening_minor, currency=one.currency),
        "closing": Cell(one.closing_minor, currency=one.currency),
        "paid": Cell(one.paid_out_minor, currency=one.currency),
    }
    return Row(str(one.statement_id), cells)


@post("/operator/finance/run", status_code=200, opt=open_to(BOOKKEEPERS))
async def run_settlement(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """Close every complete period that is not closed yet and ask for its payouts; a second run finds nothing left to do."""
    _ = (visitor, form)

    async def work(conn: Conn) -> None:
        now = await business_now(conn)
        await close_periods(conn, await house.outside.current(conn, now), now)

    await house.database.writing(work)
    return Redirect("/operator/finance", status_code=303)


@get("/operator/statements/{merchant_id:uuid}/{statement_id:uuid}", opt=open_to(HOUSE))
async def show_statement(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], statement_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one statement with its lines."""
    async with house.database.reading() as conn:
        one = await read_statement(conn, merchant_id, statement_id)
        if one is None:
            raise NoSuchStatementError("statement_id", str(statement_id), "Open it from the list of statements.")
        lines = await read_statement_lines(conn, merchant_id, statement_id)
        merchants = await read_merchants(conn, [merchant_id])
    values: dict[str, object] = {"one": one, "last_on": one.period_to - timedelta(days=1), "lines": lines, "merchant": merchants[merchant_id]}
    return page("operator/statement.html", visitor, values)


@get("/operator/payouts", opt=open_to(BOOKKEEPERS))
async def show_payouts(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all payouts."""

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        async with house.database.reading() as conn:
            found = await find_payouts(conn, await ask_of(conn, ask, limit, offset))
            counts = await house.tallies.read("payouts", lambda: count_payout_states(conn))
            names = await _names(conn, [one.merchant_id for one in found.rows])
        views = {"": sum(counts.values()), "failed": counts.get(str(PayoutState.FAILED), 0)}
        sums = {"paid": found.sums["paid_minor"]} if found.sums else {}
        return Found([_payout_row(one, names) for one in found.rows], found.count, sums, views, found.has_more)

    return await answer_listing("operator/list.html", visitor, house, PAYOUTS, list_query(request), find, {"texts": PAYOUT_TEXTS, "done": ""})


def _payout_row(one: ListedPayout, names: Mapping[uuid.UUID, str]) -> Row:
    cells = {
        "merchant": Cell(names.get(one.merchant_id, ""), href=f"/operator/statements/{one.merchant_id}/{one.statement_id}"),
        "state": Cell(one.state),
        "changed": Cell(one.changed_at),
        "reference": Cell(one.bank_reference or None),
        "attempts": Cell(one.attempt_count),
        "failure": Cell(one.failure or None),
        "paid": Cell(one.paid_minor, currency=one.paid_currency),
    }
    return Row(str(one.payout_id), cells)


@get("/operator/invoices", opt=open_to(HOUSE))
async def show_invoices(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all invoices."""
    draft = visitor.language.gettext("Draft")

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        async with house.database.reading() as conn:
            found = await find_invoices(conn, await ask_of(conn, ask, limit, offset, frozenset({"issuer", "recipient"})))
            names = await _names(conn, [key for one in found.rows for key in (one.issuer_id, one.recipient_id)])
        sums = {"tax": found.sums["tax_minor"], "gross": found.sums["gross_minor"]} if found.sums else {}
        return Found([_invoice_row(one, names, draft) for one in found.rows], found.count, sums, {}, found.has_more)

    return await answer_listing("operator/list.html", visitor, house, INVOICES, list_query(request), find, {"texts": INVOICE_TEXTS, "done": ""})


def _invoice_row(one: ListedInvoice, names: Mapping[uuid.UUID, str], draft: str) -> Row:
    cells = {
        "number": Cell(one.number or draft),
        "kind": Cell(one.kind),
        "state": Cell(one.state),
        "issuer": Cell(names.get(one.issuer_id, "")),
        "recipient": Cell(names.get(one.recipient_id, "") if one.recipient_id else None),
        "country": Cell(one.tax_country),
        "issued": Cell(one.issued_at),
        "tax": Cell(one.tax_minor, currency=one.currency),
        "gross": Cell(one.gross_minor, currency=one.currency),
    }
    return Row(str(one.invoice_id), cells)
