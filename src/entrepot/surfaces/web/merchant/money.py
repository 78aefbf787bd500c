"""The merchant's money: balances, statements whose lines open to the entries behind them, payouts and invoices."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Final

from babel.numbers import format_decimal
from litestar import Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from msgspec import Struct

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.listed import ListAsk
from entrepot.books.money.model import MERCHANT, Balance
from entrepot.books.money.read import read_balances
from entrepot.books.money.statement_lines import RESERVED
from entrepot.flows.explain_statement import read_line_entries
from entrepot.orders.read import read_orders
from entrepot.parties.model import PAYOUT_GATE
from entrepot.parties.store import read_bank_accounts, read_open_gates
from entrepot.settlement.invoices import read_invoice
from entrepot.settlement.lists import ListedInvoice, find_invoices
from entrepot.settlement.merchant_lists import read_statement
from entrepot.settlement.model import InvoiceKind, LineKind, PayoutState, StatementState, period_of
from entrepot.settlement.statements import Movement, Payout, Statement, read_payouts, read_statement_lines, read_statements
from entrepot.surfaces.web.access import MERCHANTS, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.invoice_paper import send_invoice
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query, sift
from entrepot.surfaces.web.merchant.own import merchant_of, read_own
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import plain_words, short_day

MONEY: Final = "/merchant/money"
_MOST: Final = 1000
_LATEST: Final = 6
STATEMENTS: Final = Listing(
    "statements",
    f"{MONEY}/statements",
    (
        Column("period", mark("Period from"), Kind.DAY, is_sortable=True),
        Column("until", mark("Until before"), Kind.DAY),
        Column("state", mark("State"), Kind.STATE),
        Column("opening", mark("Opening balance"), Kind.MONEY),
        Column("closing", mark("Closing balance"), Kind.MONEY, is_sortable=True),
        Column("paid", mark("Paid out"), Kind.MONEY, is_sortable=True),
    ),
    (Filter("state", mark("Any state"), tuple((str(state), plain_words(state)) for state in StatementState)),),
    sort="-period",
)
PAYOUTS: Final = Listing(
    "payouts",
    f"{MONEY}/payouts",
    (
        Column("at", mark("Requested at"), Kind.TIME, is_sortable=True),
        Column("state", mark("State"), Kind.STATE),
        Column("paid", mark("Arrives as"), Kind.MONEY, is_sortable=True),
        Column("amount", mark("From balance"), Kind.MONEY, is_sortable=True),
        Column("rate", mark("Exchange rate"), Kind.TEXT),
        Column("spread", mark("Exchange spread"), Kind.MONEY),
        Column("reference", mark("Bank's reference"), Kind.CODE),
        Column("failure", mark("What went wrong")),
    ),
    (Filter("state", mark("Any state"), tuple((str(state), plain_words(state)) for state in PayoutState)),),
    (View("failed", mark("Failed"), {"state": "failed"}), View("returned", mark("Returned"), {"state": "returned"})),
    sort="-at",
)
INVOICES: Final = Listing(
    "invoices",
    f"{MONEY}/invoices",
    (
        Column("number", mark("Invoice number"), is_sortable=True),
        Column("kind", mark("Kind"), Kind.WORDS),
        Column("issued", mark("Issued"), Kind.TIME, is_sortable=True),
        Column("net", mark("Net"), Kind.MONEY),
        Column("tax", mark("Tax"), Kind.MONEY),
        Column("gross", mark("Gross"), Kind.MONEY, is_sortable=True),
    ),
    (Filter("q", mark("Invoice number")), Filter("kind", mark("Any kind"), tuple((str(kind), plain_words(kind)) for kind in InvoiceKind))),
    sort="-issued",
)


class StatementNotYoursError(UnknownReferenceError):
    """No statement or invoice of yours has this id; open it from your own lists."""


class Standing(Struct, frozen=True):
    """What a merchant has in one currency: payable now, held in reserve, and not yet paid by buyers."""

    currency: str
    available_minor: int
    reserve_minor: int
    pending_minor: int


def standings_of(balances: Sequence[Balance]) -> list[Standing]:
    """Return balances by currency, in the merchant's favour."""
    sums: dict[str, list[int]] = {}
    for one in balances:
        if one.account_code in {MERCHANT, RESERVED}:
            held = sums.setdefault(one.currency, [0, 0, 0])
            held[0 if one.account_code == MERCHANT else 1] -= one.posted_minor
            held[2] -= one.pending_minor
    return [Standing(currency, *held) for currency, held in sorted(sums.items()) if any(held)]


@get(MONEY, opt=open_to(MERCHANTS))
async def show_money(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show balances, the next payout, and the latest statements and payouts."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        merchant = await read_own(conn, visitor)
        standings = standings_of(await read_balances(conn, merchant.merchant_id))
        statements = await read_statements(conn, merchant.merchant_id, _LATEST)
        payouts = await read_payouts(conn, merchant.merchant_id, _LATEST)
        accounts = await read_bank_accounts(conn, [merchant.merchant_id], now.date())
        gates = (await read_open_gates(conn, [merchant.merchant_id])).get(merchant.merchant_id, frozenset())
    values: dict[str, object] = {
        "merchant": merchant,
        "standings": standings,
        "statements": statements,
        "payouts": payouts,
        "payout_on": period_of(now.date()).ends_before,
        "account": accounts.get((merchant.merchant_id, merchant.payout_currency)),
        "may_be_paid": PAYOUT_GATE in gates,
        "has_debt": any(one.available_minor < 0 for one in standings),
    }
    return page("merchant/money.html", visitor, values)


@get(f"{MONEY}/statements", opt=open_to(MERCHANTS))
async def show_statements(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all statements."""
    async with house.database.reading() as conn:
        rows = [_statement_row(one) for one in await read_statements(conn, merchant_of(visitor), _MOST)]

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(STATEMENTS, ask, rows, limit, offset)

    return await answer_listing("merchant/statements.html", visitor, house, STATEMENTS, list_query(request), find)


@get(f"{MONEY}/statements/{{statement_id:uuid}}", opt=open_to(MERCHANTS))
async def show_statement(house: HouseDep, visitor: VisitorDep, statement_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show a statement from its opening to its closing balance, line by line."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        found = await read_statement(conn, merchant_id, statement_id)
        if found is None:
            raise StatementNotYoursError("statement_id", str(statement_id), "Open it from your statements.")
        lines = await read_statement_lines(conn, merchant_id, statement_id)
        payout = next((one for one in await read_payouts(conn, merchant_id, _MOST) if one.statement_id == statement_id), None)
    groups: dict[LineKind, list[Movement]] = {}
    for line in lines:
        groups.setdefault(line.kind, []).append(line)
    values: dict[str, object] = {"statement": found[0], "closed_at": found[1], "groups": groups, "payout": payout}
    if payout is not None and payout.currency != payout.paid_currency:
        values["rate"] = f"{_rate(visitor.language, payout)} ({_rate_source(visitor.language, payout.rate_id)})"
    return page("merchant/statement.html", visitor, values)


@get(f"{MONEY}/statements/{{statement_id:uuid}}/line", opt=open_to(MERCHANTS))
async def show_statement_line(
    house: HouseDep,
    visitor: VisitorDep,
    statement_id: FromPath[uuid.UUID],
    kind: Annotated[str, QueryParameter(name="kind")] = "",
    code: Annotated[str, QueryParameter(name="code")] = "",
) -> Response[str]:
    """Show the entries of the money book behind a line of a statement."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        found = await read_statement(conn, merchant_id, statement_id)
        lines = await read_statement_lines(conn, merchant_id, statement_id) if found is not None else []
        asked = [one for one in lines if one.kind == kind and one.code == code]
        if found is None or not asked:
            raise StatementNotYoursError("line", f"{kind} {code}".strip(), "Open it from the statement.")
        entries = await read_line_entries(conn, found[0], kind, code)
        ids = sorted({one.order_id for one in entries if one.order_id is not None})
        numbers = {one.order_id: one.number for one in await read_orders(conn, [merchant_id] * len(ids), ids)}
    values: dict[str, object] = {
        "statement": found[0],
        "line": asked[0],
        "total_minor": sum(one.amount_minor for one in asked),
        "entries": entries,
        "entries_minor": sum(one.part.amount_minor for one in entries),
        "numbers": numbers,
        "merchant_id": merchant_id,
    }
    return page("merchant/statement_line.html", visitor, values)


@get(f"{MONEY}/payouts", opt=open_to(MERCHANTS))
async def show_payouts(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all payouts."""
    async with house.database.reading() as conn:
        rows = [_payout_row(visitor.language, one) for one in await read_payouts(conn, merchant_of(visitor), _MOST)]

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(PAYOUTS, ask, rows, limit, offset)

    return await answer_listing("merchant/payouts.html", visitor, house, PAYOUTS, list_query(request), find)


@get(f"{MONEY}/invoices", opt=open_to(MERCHANTS))
async def show_invoices(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show the invoices that the merchant issued or received."""
    merchant_id, draft = merchant_of(visitor), visitor.language.gettext("Draft")

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        filters = {name: value for name, value in ask.filters.items() if name != "q"}
        wish = ListAsk(filters, ask.filters.get("q", ""), (), ask.sort_key, ask.is_descending, limit, offset)
        async with house.database.reading() as conn:
            found = await find_invoices(conn, wish, merchant_id)
        sums = {name.removesuffix("_minor"): totals for name, totals in found.sums.items()}
        return Found([_invoice_row(one, draft) for one in found.rows], found.count, sums, {}, found.has_more)

    return await answer_listing("merchant/invoices.html", visitor, house, INVOICES, list_query(request), find)


def _invoice_row(one: ListedInvoice, draft: str) -> Row:
    cells: Mapping[str, Cell] = {
        "number": Cell(one.number or draft, href=f"{MONEY}/invoices/{one.invoice_id}"),
        "kind": Cell(one.kind),
        "issued": Cell(one.issued_at),
        "net": Cell(one.net_minor, currency=one.currency),
        "tax": Cell(one.tax_minor, currency=one.currency),
        "gross": Cell(one.gross_minor, currency=one.currency),
    }
    return Row(str(one.invoice_id), cells)


@get(f"{MONEY}/invoices/{{invoice_id:uuid}}", opt=open_to(MERCHANTS))
async def show_invoice(house: HouseDep, visitor: VisitorDep, invoice_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one invoice; another merchant's does not exist."""
    async with house.database.reading() as conn:
        invoice = await read_invoice(conn, merchant_of(visitor), invoice_id)
    if invoice is None:
        raise StatementNotYoursError("invoice_id", str(invoice_id), "Open it from your invoices.")
    return page("merchant/invoice.html", visitor, {"invoice": invoice, "is_issued": invoice.issuer_id == visitor.merchant_id})


@get(f"{MONEY}/invoices/{{invoice_id:uuid}}/pdf", opt=open_to(MERCHANTS))
async def print_invoice(house: HouseDep, visitor: VisitorDep, invoice_id: FromPath[uuid.UUID]) -> Response[bytes]:
    """Send one invoice as PDF; another merchant's does not exist."""
    async with house.database.reading() as conn:
        invoice = await read_invoice(conn, merchant_of(visitor), invoice_id)
        if invoice is None:
            raise StatementNotYoursError("invoice_id", str(invoice_id), "Open it from your invoices.")
        orders = await read_orders(conn, [invoice.issuer_id], [invoice.cause_id])
        return await send_invoice(conn, visitor, invoice, (), orders[0].number if orders else "")


def _statement_row(one: Statement) -> Row:
    cells: Mapping[str, Cell] = {
        "period": Cell(one.period.starts_on, href=f"{MONEY}/statements/{one.statement_id}"),
        "until": Cell(one.period.ends_before),
        "state": Cell(str(one.state)),
        "opening": Cell(one.opening_minor, currency=one.currency),
        "closing": Cell(one.closing_minor, currency=one.currency),
        "paid": Cell(one.paid_out_minor, currency=one.currency),
    }
    return Row(str(one.statement_id), cells)


def _rate(language: Language, one: Payout) -> str:
    """Return the rate at which a payout was changed."""
    return format_decimal(one.rate, "0.000000", language.locale)


def _rate_source(language: Language, rate_id: str) -> str:
    """Return who set a rate and for which day, out of an id such as `ecb:CNY/AUD:2026-09-21`."""
    source, _, rest = rate_id.partition(":")
    try:
        on = date.fromisoformat(rest.rpartition(":")[2])
    except ValueError:
        return rate_id
    return f"{source.upper()} · {short_day(language, on)}"


def _payout_row(language: Language, one: Payout) -> Row:
    is_changed = one.currency != one.paid_currency
    cells: Mapping[str, Cell] = {
        "at": Cell(one.requested_at, href=f"{MONEY}/statements/{one.statement_id}"),
        "state": Cell(str(one.state)),
        "paid": Cell(one.paid_minor, currency=one.paid_currency),
        "amount": Cell(one.amount_minor, currency=one.currency),
        "rate": Cell(_rate(language, one), note=_rate_source(language, one.rate_id)) if is_changed else Cell(None),
        "spread": Cell(one.spread_minor or None, currency=one.paid_currency),
        "reference": Cell(one.bank_reference or None),
        "failure": Cell(one.failure or None),
    }
    return Row(str(one.payout_id), cells)
