"""The money book: the trial balance, an account's entries and one posting, each a step nearer to what happened."""

import uuid
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.money import decimals_of
from entrepot.books.money.correction import read_corrections_of
from entrepot.books.money.read import list_account_entries, read_balances, read_posting, read_totals
from entrepot.parties.model import MerchantKind
from entrepot.parties.store import list_merchants
from entrepot.surfaces.web.access import BOOKS, VisitorDep, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.operator.audiences import BOOKKEEPERS
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.stock_pages import choose_merchant

_ROWS: Final = 100
_EVERYBODY: Final = ""


class UnknownPostingError(UnknownReferenceError):
    """The book holds no posting with this id."""


@get("/postings", opt=open_to(BOOKS))
async def show_trial_balance(house: HouseDep, visitor: VisitorDep, merchant: FromQuery[str] = _EVERYBODY) -> Response[str]:
    """Show every account with what is posted and what waits: of the whole house, or of one merchant's book."""
    async with house.database.reading() as conn:
        merchants = await list_merchants(conn, MerchantKind.MERCHANT)
        chosen = choose_merchant(visitor, merchants, merchant) if merchant or visitor.merchant_id is not None else None
        if chosen is None:
            rows = await read_totals(conn)
        else:
            balances = await read_balances(conn, chosen.merchant_id)
            rows = [(one.account_code, one.currency, one.posted_minor, one.pending_minor) for one in balances]
    by_currency: dict[str, list[tuple[str, int, int]]] = {}
    for account, currency, posted, pending in sorted(rows, key=lambda row: (row[1], row[0])):
        by_currency.setdefault(currency, []).append((account, posted, pending))
    values: dict[str, object] = {
        "by_currency": by_currency,
        "merchants": merchants if visitor.sees_house else [],
        "merchant": chosen,
        "code": merchant,
    }
    return page("postings.html", visitor, values)


@get("/postings/{account:str}", opt=open_to(BOOKS))
async def show_account(
    house: HouseDep,
    visitor: VisitorDep,
    account: FromPath[str],
    currency: FromQuery[str],
    merchant: FromQuery[str] = _EVERYBODY,
    page_no: Annotated[int, QueryParameter(name="page", ge=1, le=100_000)] = 1,
) -> Response[str]:
    """Show the entries of an account, newest first."""
    decimals_of(currency)
    async with house.database.reading() as conn:
        merchants = await list_merchants(conn, MerchantKind.MERCHANT)
        chosen = choose_merchant(visitor, merchants, merchant) if merchant or visitor.merchant_id is not None else None
        merchant_id = chosen.merchant_id if chosen is not None else None
        rows = await list_account_entries(conn, merchant_id, account, currency, _ROWS + 1, (page_no - 1) * _ROWS)
    code = merchant if visitor.sees_house else _EVERYBODY
    values: dict[str, object] = {
        "account_code": account,
        "currency": currency,
        "rows": rows[:_ROWS],
        "has_more": len(rows) > _ROWS,
        "page_no": page_no,
        "names": {one.merchant_id: one.name for one in merchants},
        "merchant": chosen,
        "code": code,
        "query": partial(_query, account, currency, code),
    }
    return page("account.html", visitor, values)


@get("/posting/{merchant_id:uuid}/{posting_id:uuid}", opt=open_to(BOOKS))
async def show_posting(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], posting_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one posting whole; another merchant's does not exist."""
    async with house.database.reading() as conn:
        is_own = visitor.sees_house or visitor.merchant_id == merchant_id
        entries = await read_posting(conn, merchant_id, posting_id) if is_own else []
        names = {one.merchant_id: one.name for one in await list_merchants(conn, MerchantKind.MERCHANT)}
        corrections = await read_corrections_of(conn, merchant_id, posting_id) if entries and visitor.sees_house else []
    if not entries:
        raise UnknownPostingError("posting_id", str(posting_id), "Open it from an account.")
    values: dict[str, object] = {"head": entries[0], "entries": entries, "merchant_id": merchant_id, "merchant_name": names.get(merchant_id, "")}
    values |= {"corrections": corrections, "may_correct": visitor.role in BOOKKEEPERS and entries[0].phase in {"posted", "post"}}
    return page("posting.html", visitor, values)


def _query(account_code: str, currency: str, merchant: str, **changed: object) -> str:
    """Return an account's address with another page."""
    chosen: dict[str, object] = {"currency": currency, "merchant": merchant, **changed}
    return f"/postings/{account_code}?" + urlencode({name: value for name, value in chosen.items() if value not in {"", 1}})
