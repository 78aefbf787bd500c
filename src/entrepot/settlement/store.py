"""Tax decisions and fee lines: insertion, pages, and the law that each has a rule version and inputs."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn, columns, execute, fetch
from entrepot.settlement.fees import FeeLine
from entrepot.settlement.model import UnruledDecisionError
from entrepot.settlement.tax import REMITTED_BY_US, TaxDecision

_BROKEN_LIMIT = 100
Entry = TypeVar("Entry")


class TaxEntry(Struct, frozen=True):
    """A tax decision for one order line; a later decision for the same line has a higher version."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    decision: TaxDecision
    version: int = 1


class FeeEntry(Struct, frozen=True):
    """A fee line with its cause: order, return, removal, month or whatever made it due; `fee_no` counts within cause, line and event."""

    merchant_id: uuid.UUID
    cause_kind: str
    cause_id: uuid.UUID
    line_no: int
    fee_no: int
    line: FeeLine
    at: datetime
    order_id: uuid.UUID | None = None


class StoredFee(Struct, frozen=True):
    """A fee line as the fee explorer shows it: what, why, by which rule and from which inputs."""

    cause_kind: str
    cause_id: uuid.UUID
    line_no: int
    fee_no: int
    line: FeeLine
    charged_at: datetime
    order_id: uuid.UUID | None


class StoredTax(Struct, frozen=True):
    """A tax decision as the order page shows it."""

    order_id: uuid.UUID
    line_no: int
    version: int
    regime: str
    taxable_person: str
    collected_by: str
    remitted_by: str
    tax_country: str
    base_minor: int
    rate: Decimal | None
    tax_minor: int
    gross_minor: int
    currency: str
    rule_version: str
    rate_version: str
    established_in: str
    ship_from: str
    destination: str
    buyer_kind: str
    prices_include_tax: bool
    intrinsic_minor: int
    intrinsic_currency: str
    missing_registration: str
    evaluated_on: date


class LineTax(Struct, frozen=True):
    """The tax of an order line: whose it is, and what of it the platform keeps back for a tax office, in minor units."""

    tax_country: str
    tax_minor: int
    withheld_minor: int


def fee_entries(
    merchant_id: uuid.UUID,
    cause_kind: str,
    cause_id: uuid.UUID,
    line_no: int,
    lines: Iterable[FeeLine],
    at: datetime,
    order_id: uuid.UUID | None = None,
) -> list[FeeEntry]:
    """Number the fee lines of one cause, line and event in their order."""
    return [FeeEntry(merchant_id, cause_kind, cause_id, line_no, number, line, at, order_id) for number, line in enumerate(lines, 1)]


async def insert_tax_decisions(conn: Conn, entries: Sequence[TaxEntry], at: datetime) -> None:
    """Store new decisions; a decision without a rule is refused before anything is written, and one that stands fails the transaction."""
    bases: dict[tuple[object, ...], uuid.UUID] = {}
    known: dict[tuple[object, ...], uuid.UUID] = {}
    basis_ids = [_basis_id(entry, known, bases) for entry in entries]
    await _insert_bases(conn, bases)
    decisions = [entry.decision for entry in entries]
    await execute(
        conn,
        """insert into tax_decision (merchant_id, order_id, line_no, version, basis_id, evaluated_on, base_minor, tax_minor, gross_minor,
               consignment_minor, item_minor, intrinsic_minor, decided_at)
           select t.*, %(at)s::timestamptz
           from unnest(%(merchant_id)s::uuid[], %(order_id)s::uuid[], %(line_no)s::int[], %(version)s::smallint[], %(basis_id)s::uuid[],
               %(on)s::date[], %(base_minor)s::bigint[], %(tax_minor)s::bigint[], %(gross_minor)s::bigint[], %(consignment_minor)s::bigint[],
               %(item_minor)s::bigint[], %(intrinsic_minor)s::bigint[]) as t""",
        {
            **columns(entries, "merchant_id", "order_id", "line_no", "version"),
            **columns(decisions, "base_minor", "tax_minor", "gross_minor", "intrinsic_minor"),
            **columns((decision.inputs for decision in decisions), "on", "consignment_minor", "item_minor"),
            "basis_id": basis_ids,
            "at": at,
        },
    )


def _basis_id(entry: TaxEntry, known: dict[tuple[object, ...], uuid.UUID], bases: dict[tuple[object, ...], uuid.UUID]) -> uuid.UUID:
    """Return the id of what this decision shares with others of the merchant; unruled decisions are refused.

    A verdict is one object for all lines of a kind and day, so that its identity finds the basis of the next line at once.
    """
    decided, given = entry.decision, entry.decision.inputs
    if not decided.is_ruled:
        raise UnruledDecisionError("tax_decision", f"{given.destination} on {given.on}", "Enter a rule first: %(note)s.", note=decided.verdict.note)
    same = (entry.merchant_id, id(decided.verdict), decided.intrinsic_currency, given.currency, given.prices_include_tax)
    found = known.get(same)
    if found is None:
        found = known[same] = _full_basis_id(entry, bases)
    return found


def _full_basis_id(entry: TaxEntry, bases: dict[tuple[object, ...], uuid.UUID]) -> uuid.UUID:
    decided, given, verdict = entry.decision, entry.decision.inputs, entry.decision.verdict
    key = (
        entry.merchant_id, verdict.regime, verdict.taxable_person, verdict.collected_by, verdict.remitted_by, verdict.tax_country, verdict.rate,
        given.currency, verdict.rule_version, verdict.rate_version, verdict.rounding, decided.intrinsic_currency, verdict.missing_registration,
        given.established_in, " ".join(sorted(given.registrations)), given.ship_from, given.destination, given.destination_territory,
        given.buyer_kind, given.scheme, given.tax_class, given.goods_kind, given.prices_include_tax,
    )  # fmt: skip
    if key not in bases:
        bases[key] = derived_id("tax_basis", *key)
    return bases[key]


async def _insert_bases(conn: Conn, bases: Mapping[tuple[Any, ...], uuid.UUID]) -> None:
    listed = list(zip(*bases, strict=True)) or [() for _ in range(23)]
    names = (
        "merchant_id", "regime", "taxable_person", "collected_by", "remitted_by", "tax_country", "rate", "currency", "rule_version", "rate_version",
        "rounding", "intrinsic_currency", "missing_registration", "established_in", "registrations", "ship_from", "destination", "territory",
        "buyer_kind", "scheme", "tax_class", "goods_kind", "prices_include_tax",
    )  # fmt: skip
    params: dict[str, object] = {name: list(values) for name, values in zip(names, listed, strict=True)}
    params["basis_id"] = list(bases.values())
    await execute(
        conn,
        """insert into tax_basis (merchant_id, basis_id, regime, taxable_person, collected_by, remitted_by, tax_country, rate, currency,
               rule_version, rate_version, rounding, intrinsic_currency, missing_registration, established_in, registrations, ship_from,
               destination, destination_territory, buyer_kind, scheme, tax_class, goods_kind, prices_include_tax)
           select t.merchant_id, t.basis_id, t.regime, t.taxable_person, t.collected_by, t.remitted_by, t.tax_country, t.rate, t.currency,
               t.rule_version, t.rate_version, t.rounding, t.intrinsic_currency, t.missing_registration, t.established_in,
               string_to_array(t.registrations, ' '), t.ship_from, t.destination, t.territory, t.buyer_kind, t.scheme, t.tax_class, t.goods_kind,
               t.prices_include_tax
           from unnest(%(merchant_id)s::uuid[], %(basis_id)s::uuid[], %(regime)s::text[], %(taxable_person)s::text[], %(collected_by)s::text[],
               %(remitted_by)s::text[], %(tax_country)s::text[], %(rate)s::numeric[], %(currency)s::text[], %(rule_version)s::text[],
               %(rate_version)s::text[], %(rounding)s::text[], %(intrinsic_currency)s::text[], %(missing_registration)s::text[],
               %(established_in)s::text[], %(registrations)s::text[], %(ship_from)s::text[], %(destination)s::text[], %(territory)s::text[],
               %(buyer_kind)s::text[], %(scheme)s::text[], %(tax_class)s::text[], %(goods_kind)s::text[], %(prices_include_tax)s::boolean[])
               as t(merchant_id, basis_id, regime, taxable_person, collected_by, remitted_by, tax_country, rate, currency, rule_version,
               rate_version, rounding, intrinsic_currency, missing_registration, established_in, registrations, ship_from, destination, territory,
               buyer_kind, scheme, tax_class, goods_kind, prices_include_tax)
           on conflict do nothing""",
        params,
    )


async def insert_fee_lines(conn: Conn, entries: Sequence[FeeEntry]) -> list[FeeEntry]:
    """Store fee lines and return only those that were new, in their order; a line whose key is there stays as it is."""
    lines = [entry.line for entry in entries]
    rows = await fetch(
        conn,
        """insert into fee_line (merchant_id, cause_kind, cause_id, line_no, fee_no, event, fee_code, amount_minor, currency, rule_version,
               unit_count, inputs, charged_at, order_id)
           select t.merchant_id, t.cause_kind, t.cause_id, t.line_no, t.fee_no, t.event, t.fee_code, t.amount_minor, t.currency, t.rule_version,
               t.unit_count, t.inputs::jsonb, t.charged_at, t.order_id
           from unnest(%(merchant_id)s::uuid[], %(cause_kind)s::text[], %(cause_id)s::uuid[], %(line_no)s::int[], %(fee_no)s::smallint[],
               %(event)s::text[], %(fee_code)s::text[], %(amount_minor)s::bigint[], %(currency)s::text[], %(rule_version)s::text[],
               %(units)s::int[], %(inputs)s::text[], %(at)s::timestamptz[], %(order_id)s::uuid[])
               as t(merchant_id, cause_kind, cause_id, line_no, fee_no, event, fee_code, amount_minor, currency, rule_version, unit_count, inputs,
               charged_at, order_id)
           on conflict do nothing
           returning merchant_id, cause_kind, cause_id, line_no, event, fee_no""",
        {
            **columns(entries, "merchant_id", "cause_kind", "cause_id", "line_no", "fee_no", "at", "order_id"),
            **columns(lines, "event", "fee_code", "amount_minor", "currency", "rule_version", "units"),
            "inputs": [msgspec.json.encode(line.inputs).decode() for line in lines],
        },
    )
    keys = [(entry.merchant_id, entry.cause_kind, entry.cause_id, entry.line_no, entry.line.event, entry.fee_no) for entry in entries]
    return _only_new(entries, keys, rows)


def _only_new(entries: Sequence[Entry], keys: Sequence[tuple[object, ...]], inserted: Sequence[tuple[Any, ...]]) -> list[Entry]:
    """Return the entries whose keys the database took, each key once."""
    if len(inserted) == len(entries):
        return list(entries)
    left = set(inserted)
    new: list[Entry] = []
    for entry, key in zip(entries, keys, strict=True):
        if key in left:
            left.remove(key)
            new.append(entry)
    return new


async def read_order_fees(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> list[StoredFee]:
    """Return every fee of an order, also those of its returns, in the order in which they arose."""
    rows = await fetch(
        conn,
        """select cause_kind, cause_id, line_no, fee_no, fee_code, event, amount_minor, currency, rule_version, unit_count, inputs, charged_at,
               order_id
           from fee_line
           where merchant_id = %(merchant)s and (cause_id = %(order)s or (order_id = %(order)s and order_id <> cause_id))
           order by charged_at, cause_id, line_no, event, fee_no""",
        {"merchant": merchant_id, "order": order_id},
    )
    return [_stored_fee(row) for row in rows]


async def read_fees(conn: Conn, merchant_id: uuid.UUID, from_at: datetime, before_at: datetime, fee_code: str | None, limit: int) -> list[StoredFee]:
    """Return a merchant's latest fees of a span, of one code or all, for the fee explorer."""
    rows = await fetch(
        conn,
        """select cause_kind, cause_id, line_no, fee_no, fee_code, event, amount_minor, currency, rule_version, unit_count, inputs, charged_at,
               order_id
           from fee_line
           where merchant_id = %(merchant)s and charged_at >= %(from)s and charged_at < %(before)s
               and (%(code)s::text is null or fee_code = %(code)s)
           order by charged_at desc, cause_id, line_no, event, fee_no limit %(limit)s""",
        {"merchant": merchant_id, "from": from_at, "before": before_at, "code": fee_code, "limit": limit},
    )
    return [_stored_fee(row) for row in rows]


def _stored_fee(row: tuple[Any, ...]) -> StoredFee:
    line = FeeLine(row[4], row[5], row[6], row[7], row[8], row[9], row[10])
    return StoredFee(row[0], row[1], row[2], row[3], line, row[11], row[12])


async def read_order_taxes(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> list[StoredTax]:
    """Return the latest tax decision of each line of an order, in order of line."""
    rows = await fetch(
        conn,
        """select distinct on (d.line_no) d.order_id, d.line_no, d.version, b.regime, b.taxable_person, b.collected_by, b.remitted_by, b.tax_country,
               d.base_minor, b.rate, d.tax_minor, d.gross_minor, b.currency, b.rule_version, b.rate_version, b.established_in, b.ship_from,
               b.destination, b.buyer_kind, b.prices_include_tax, d.intrinsic_minor, b.intrinsic_currency, b.missing_registration, d.evaluated_on
           from tax_decision d join tax_basis b on b.merchant_id = d.merchant_id and b.basis_id = d.basis_id
           where d.merchant_id = %(merchant)s and d.order_id = %(order)s
           order by d.line_no, d.version desc""",
        {"merchant": merchant_id, "order": order_id},
    )
    return [StoredTax(*row) for row in rows]


_ORDERS_ASKED = """
    (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[])) as t(merchant_id, order_id)
    on d.merchant_id = t.merchant_id and d.order_id = t.order_id
"""
_LINES_ASKED = """
    (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(lines)s::int[])) as t(merchant_id, order_id, line_no)
    on d.merchant_id = t.merchant_id and d.order_id = t.order_id and d.line_no = t.line_no
"""


@batch
async def read_line_taxes(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int] | None = None
) -> dict[tuple[uuid.UUID, uuid.UUID, int], LineTax]:
    """Return what was decided last for the lines of orders, or of each order only for the line beside it, by (merchant, order, line)."""
    rows = await fetch(
        conn,
        f"""select distinct on (d.merchant_id, d.order_id, d.line_no) d.merchant_id, d.order_id, d.line_no, b.tax_country, d.tax_minor, b.remitted_by
           from tax_decision d join {_ORDERS_ASKED if line_nos is None else _LINES_ASKED}
           join tax_basis b on b.merchant_id = d.merchant_id and b.basis_id = d.basis_id
           order by d.merchant_id, d.order_id, d.line_no, d.version desc""",
        {"merchants": list(merchant_ids), "orders": list(order_ids)} | ({} if line_nos is None else {"lines": list(line_nos)}),
    )
    return {(row[0], row[1], row[2]): LineTax(row[3], row[4], row[4] if row[5] in REMITTED_BY_US else 0) for row in rows}


@batch
async def read_line_fees(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int], fee_code: str
) -> list[StoredFee]:
    """Return the fees of one code of order lines, charged and given back, in the order in which they arose."""
    rows = await fetch(
        conn,
        """with asked as (
               select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(lines)s::int[]) as t(merchant_id, order_id, line_no)
           ), found as (
               select f.* from asked t join fee_line f on f.merchant_id = t.merchant_id and f.order_id = t.order_id and f.line_no = t.line_no
                   and f.order_id <> f.cause_id
               union all
               select f.* from asked t join fee_line f on f.merchant_id = t.merchant_id and f.cause_id = t.order_id and f.line_no = t.line_no
                   and f.order_id = f.cause_id
           )
           select cause_kind, cause_id, line_no, fee_no, fee_code, event, amount_minor, currency, rule_version, unit_count, inputs, charged_at, order_id
           from found where fee_code = %(code)s order by charged_at, cause_id, line_no, event, fee_no""",
        {"merchants": list(merchant_ids), "orders": list(order_ids), "lines": list(line_nos), "code": fee_code},
    )
    return [_stored_fee(row) for row in rows]


@batch
async def read_tax_regimes(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID, int], str]:
    """Return the regime of the latest tax decision by (merchant, order, line) of these orders."""
    rows = await fetch(
        conn,
        """select distinct on (d.merchant_id, d.order_id, d.line_no) d.merchant_id, d.order_id, d.line_no, b.regime
           from (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[])) as t(merchant_id, order_id)
           join tax_decision d on d.merchant_id = t.merchant_id and d.order_id = t.order_id
           join tax_basis b on b.merchant_id = d.merchant_id and b.basis_id = d.basis_id
           order by d.merchant_id, d.order_id, d.line_no, d.version desc""",
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return {(row[0], row[1], row[2]): str(row[3]) for row in rows}


async def check_fee_evidence(conn: Conn) -> tuple[int, list[str]]:
    """Law 6: return how many fee and tax lines there are, and those without inputs or whose rule version names no rule (at most 100 of each)."""
    fees = await fetch(
        conn,
        """with known as (select distinct fee_code, rule_version from fee_rate)
           select count(*), (select coalesce(array_agg(row_text), '{}') from (
               select format('fee_line %%s %%s line %%s %%s: %%s', f.merchant_id, f.cause_id, f.line_no, f.fee_code, f.rule_version) as row_text
               from fee_line f left join known k on k.fee_code = f.fee_code and k.rule_version = f.rule_version
               where k.rule_version is null or f.inputs = '{}'::jsonb
               order by f.merchant_id, f.cause_id, f.line_no, f.fee_no limit %(limit)s) as broken)
           from fee_line""",
        {"limit": _BROKEN_LIMIT},
    )
    taxes = await fetch(
        conn,
        """select count(*), (select coalesce(array_agg(row_text), '{}') from (
               select format('tax_decision %%s %%s line %%s: %%s %%s', d.merchant_id, d.order_id, d.line_no, b.rule_version, b.rate_version) as row_text
               from tax_decision d join tax_basis b on b.merchant_id = d.merchant_id and b.basis_id = d.basis_id
               left join tax_rule r on r.rule_version = b.rule_version left join tax_rate t on t.rate_version = b.rate_version
               where r.rule_version is null or (r.rate_of = 'destination' and t.rate_version is null) or b.ship_from = '' or b.destination = ''
               order by d.merchant_id, d.order_id, d.line_no limit %(limit)s) as broken)
           from tax_decision""",
        {"limit": _BROKEN_LIMIT},
    )
    return fees[0][0] + taxes[0][0], [*fees[0][1], *taxes[0][1]]
