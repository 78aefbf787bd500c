"""Many listings changed as CSV: pasted or uploaded, shown row by row with what each would do, then applied whole or not at all."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.response import Redirect

from entrepot.base.money import decimals_of, major
from entrepot.base.sql import Conn
from entrepot.catalogue.model import OfferFacts, OfferState
from entrepot.catalogue.store import list_offers
from entrepot.flows.change_listings import ListingRow, RowOutcome, RowPlan, apply_rows, plan_rows
from entrepot.surfaces.web.access import MERCHANTS, FormDep, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.merchant.listings import LISTINGS
from entrepot.surfaces.web.merchant.own import led_to, merchant_of
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import money, words

BULK: Final = f"{LISTINGS}/bulk"
COLUMNS: Final = ("sku", "store", "model", "price", "state", "hs_code", "origin")
_MOST_ROWS: Final = 1000
_MOST_BYTES: Final = 500_000
_FIELDS: Final[Mapping[str, str]] = {
    "sku": mark("SKU"),
    "store": mark("Store"),
    "marketplace_code": mark("Store"),
    "model": mark("Model"),
    "model_code": mark("Model"),
    "price": mark("Price"),
    "state": mark("State"),
    "hs_code": mark("HS code"),
    "origin": mark("Origin"),
    "origin_country_code": mark("Origin"),
}
_FAULTS: Final[Mapping[str, str]] = {
    "unknown_stock_item": mark("Your catalogue has no such SKU."),
    "unknown_marketplace": mark("There is no store with this code."),
    "unknown_model": mark("There is no model with this code."),
    "row_incomplete": mark("The row lacks what it needs: store and model for an offer, a price for a new one."),
    "row_twice": mark("Two rows are about the same offer; keep one of them."),
    "price_malformed": mark("Write the price like 1249.90, without currency and without signs between thousands."),
    "price_not_positive": mark("Give a price above zero."),
    "too_many_decimals": mark("The store's currency has fewer decimals."),
    "unknown_offer_state": mark("Use live, paused or closed, or leave it empty."),
    "transition_not_allowed": mark("The offer cannot go from its state to this one."),
    "malformed_hs_code": mark("An HS code has six to ten digits, such as 851762."),
    "malformed_country": mark("Write the origin as two capital letters, such as CN."),
    "model_not_opened": mark("This model is not open to you in this store; open it in the settings."),
    "offer_not_shippable": mark("Goods that cross a border need HS code and origin first."),
    "electronic_label_missing": mark("This store asks for the text of an electronic label, which rows cannot bring."),
    "offer_restricted": mark("This country does not admit goods of this category."),
}
"""What is wrong with a row, in words that every language has, by the code of its refusal."""


@get(BULK, opt=open_to(MERCHANTS))
async def show_bulk(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show the form, with the selected offers as rows."""
    wanted = set(request.query_params.getall("row", []))
    async with house.database.reading() as conn:
        offers = await list_offers(conn, merchant_of(visitor)) if wanted else []
    text = as_csv([one for one in offers if str(one.offer_id) in wanted]) if wanted else ""
    return page("merchant/bulk.html", visitor, _values(text, [], []))


@get(f"{BULK}/offers.csv", opt=open_to(MERCHANTS))
async def send_offers(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Send all offers in the form in which they can come back."""
    async with house.database.reading() as conn:
        offers = await list_offers(conn, merchant_of(visitor))
    return Response(
        "\ufeff" + as_csv([one for one in offers if one.state != OfferState.CLOSED]),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="offers.csv"'},
    )


@post(BULK, status_code=200, opt=open_to(MERCHANTS))
async def do_bulk(request: WebRequest, house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Show what the rows would do, or apply them; a row that is refused keeps all of them back."""
    merchant_id = merchant_of(visitor)
    uploaded = await _uploaded(request)
    text = uploaded or form.get("rows", "")
    rows, faults = read_rows(visitor.language, text)
    if faults or not rows:
        return page(
            "merchant/bulk.html", visitor, _values(text, faults or [visitor.language.gettext(mark("Paste rows or choose a file first."))], []), 422
        )
    is_apply = form.get("step") == "apply" and not uploaded

    async def change(conn: Conn) -> list[RowPlan]:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        return await apply_rows(conn, outside, merchant_id, rows, actor_of(visitor), now)

    if is_apply:
        plans = await house.database.writing(change)
        if all(plan.refusal is None for plan in plans):
            return led_to(LISTINGS, "listed" if any(plan.outcome is not RowOutcome.UNCHANGED for plan in plans) else "already")
    else:
        async with house.database.reading() as conn:
            now = await business_now(conn)
            plans = await plan_rows(conn, await house.outside.current(conn, now), merchant_id, rows, now)
    async with house.database.reading() as conn:
        stores = (await house.outside.current(conn, await business_now(conn))).reference.marketplaces
    currencies = {code: store.currency for code, store in stores.items()}
    told = [(plan, _changes(visitor.language, plan, currencies)) for plan in plans]
    is_right = all(plan.refusal is None for plan in plans)
    return page("merchant/bulk.html", visitor, _values(text, [], told), 200 if is_right else 422)


def read_rows(language: Language, text: str) -> tuple[list[ListingRow], list[str]]:
    """Read rows of CSV, separated by commas, semicolons or tabs, with a first line that names the columns; what cannot be read is told."""
    lines = text.lstrip("\ufeff").strip().splitlines()
    if not lines:
        return [], []
    separator = max((",", ";", "\t"), key=lines[0].count)
    heads = [head.strip().casefold().replace(" ", "_") for head in next(csv.reader([lines[0]], delimiter=separator))]
    unknown = [head for head in heads if head not in COLUMNS]
    if unknown or "sku" not in heads or len(set(heads)) < len(heads):
        told = language.gettext(mark("The first line names the columns: %(columns)s. Only sku must be there."), columns=", ".join(COLUMNS))
        return [], [told]
    rows: list[ListingRow] = []
    for number, fields in enumerate(csv.reader(io.StringIO("\n".join(lines[1:])), delimiter=separator), start=2):
        if not any(field.strip() for field in fields):
            continue
        if len(fields) > len(heads):
            return [], [language.gettext(mark("Line %(number)s has more fields than there are columns."), number=number)]
        given = {head: field.strip().removeprefix("'") for head, field in zip(heads, fields, strict=False)}
        rows.append(
            ListingRow(
                number,
                given.get("sku", ""),
                given.get("store", "").upper(),
                given.get("model", "").casefold(),
                given.get("price", ""),
                given.get("state", "").casefold(),
                given.get("hs_code", "").replace(".", ""),
                given.get("origin", "").upper(),
            )
        )
    if len(rows) > _MOST_ROWS:
        return [], [language.gettext(mark("At most %(most)s rows at once; send the rest afterwards."), most=_MOST_ROWS)]
    return rows, []


def as_csv(offers: Sequence[OfferFacts]) -> str:
    """Return offers as rows that can come back."""
    told = io.StringIO()
    out = csv.writer(told, lineterminator="\n")
    out.writerow(COLUMNS)
    for one in offers:
        price = format(major(one.price_minor, one.currency), f".{decimals_of(one.currency)}f")
        out.writerow([one.sku, one.marketplace_code, one.model_code, price, one.state, one.hs_code or "", one.origin_country_code or ""])
    return told.getvalue()


async def _uploaded(request: WebRequest) -> str:
    """Return the text of an uploaded file; none, or one that is too large or no text, is empty."""
    file = (await request.form()).get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return ""
    content = await file.read(_MOST_BYTES + 1)
    return content.decode("utf-8-sig", errors="replace") if len(content) <= _MOST_BYTES else ""


def _changes(language: Language, plan: RowPlan, currencies: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return what a row changes in words: field, before and after."""
    currency = currencies.get(plan.row.marketplace_code, "")
    told: list[tuple[str, str, str]] = []
    for name, before, after in plan.changes:
        if name == "price" and plan.outcome is not RowOutcome.NEW:
            told.append((_FIELDS[name], money(language, int(before), currency), money(language, int(after), currency)))
        elif name == "state":
            told.append((_FIELDS[name], words(language, before) if before else "", words(language, after)))
        else:
            told.append((_FIELDS[name], before, f"{after} {currency}" if name == "price" else after))
    return told


def _values(text: str, faults: Sequence[str], plans: Sequence[tuple[RowPlan, list[tuple[str, str, str]]]]) -> dict[str, object]:
    """Return what the page shows."""
    outcomes = [plan.outcome for plan, _ in plans]
    return {
        "rows_text": text,
        "faults": faults,
        "plans": plans,
        "columns": ", ".join(COLUMNS),
        "fields": _FIELDS,
        "sayings": _FAULTS,
        "refused": outcomes.count(RowOutcome.REFUSED),
        "changed": outcomes.count(RowOutcome.NEW) + outcomes.count(RowOutcome.CHANGED),
    }
