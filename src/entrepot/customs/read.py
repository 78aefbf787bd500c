"""Reading declarations: by id, by order, as the operator's queues, and what they declare, for comparison with what was packed."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from entrepot.base.sql import Conn, Row, fetch
from entrepot.customs.model import Declaration, DeclarationKind, DeclarationLine, DeclarationState, MessageKind, Party


class StoredDeclaration(Struct, frozen=True):
    """A declaration as it stands: what was declared, its state since when, the cause and remedy where it does not pass, attempts so far."""

    declaration: Declaration
    state: DeclarationState
    state_at: datetime
    cause_code: str
    remedy: str
    attempt_count: int


class QueueRow(Struct, frozen=True):
    """A declaration in an operator's queue."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    order_id: uuid.UUID | None
    regime_code: str
    kind: DeclarationKind
    version: int
    state: DeclarationState
    state_at: datetime
    cause_code: str
    remedy: str
    ship_from: str
    ship_to: str


class StoredMessage(Struct, frozen=True):
    """A message of a declaration's log."""

    message_key: str
    kind: MessageKind
    body: dict[str, Any]
    at: datetime


class DeclaredQuantity(Struct, frozen=True):
    """Pieces, legal quantity and net weight in grams declared for an order line of a consignment or parcel."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    kind: DeclarationKind
    order_id: uuid.UUID | None
    consignment_id: uuid.UUID | None
    parcel_id: uuid.UUID | None
    line_no: int
    quantity: int
    legal_unit_code: str
    legal_quantity: Decimal
    net_weight_g: int


async def read_declarations(conn: Conn, merchant_ids: Sequence[uuid.UUID], declaration_ids: Sequence[uuid.UUID]) -> list[StoredDeclaration]:
    """Return declarations by merchant and id with their lines; unknown ids are left out."""
    return await _read(
        conn,
        """from unnest(%(merchant_ids)s::uuid[], %(ids)s::uuid[]) as t(merchant_id, declaration_id)
           join declaration d on d.merchant_id = t.merchant_id and d.declaration_id = t.declaration_id""",
        merchant_ids,
        declaration_ids,
    )


async def read_declarations_of_orders(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[StoredDeclaration]:
    """Return all declarations of orders, also refused and cancelled versions, oldest first."""
    return await _read(
        conn,
        """from unnest(%(merchant_ids)s::uuid[], %(ids)s::uuid[]) as t(merchant_id, order_id)
           join declaration d on d.merchant_id = t.merchant_id and d.order_id = t.order_id""",
        merchant_ids,
        order_ids,
    )


async def read_queue(conn: Conn, state: DeclarationState, row_limit: int, merchant_id: uuid.UUID | None = None) -> list[QueueRow]:
    """Return declarations in a state, the longest waiting first; without a merchant those of all, for the operator."""
    rows = await fetch(
        conn,
        """select merchant_id, declaration_id, order_id, regime_code, kind, version, state, state_at, cause_code, remedy, ship_from, ship_to
           from declaration where state = %(state)s and (%(merchant_id)s::uuid is null or merchant_id = %(merchant_id)s)
           order by state_at, declaration_id limit %(row_limit)s""",
        {"state": str(state), "merchant_id": merchant_id, "row_limit": row_limit},
    )
    return [
        QueueRow(row[0], row[1], row[2], row[3], DeclarationKind(row[4]), row[5], DeclarationState(row[6]), row[7], row[8], row[9], row[10], row[11])
        for row in rows
    ]


async def count_states(conn: Conn) -> dict[tuple[str, str], int]:
    """Return the number of declarations per regime and state."""
    rows = await fetch(conn, "select regime_code, state, count(*) from declaration group by regime_code, state order by regime_code, state")
    return {(row[0], row[1]): row[2] for row in rows}


async def read_messages(conn: Conn, merchant_id: uuid.UUID, declaration_id: uuid.UUID) -> list[StoredMessage]:
    """Return the message log of a declaration in order of time."""
    rows = await fetch(
        conn,
        """select message_key, kind, body, at from customs_message
           where merchant_id = %(merchant_id)s and declaration_id = %(declaration_id)s order by at, message_key""",
        {"merchant_id": merchant_id, "declaration_id": declaration_id},
    )
    return [StoredMessage(row[0], MessageKind(row[1]), row[2], row[3]) for row in rows]


def turned_back_key(parcel_id: uuid.UUID) -> str:
    """Return the key of the message that a parcel was turned back or destroyed at the border."""
    return f"return:{parcel_id}"


async def read_turned_back(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], parcel_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], dict[str, Any]]:
    """Return what customs said of refused parcels by (merchant, parcel), given as equally long lists; the others are left out."""
    rows = await fetch(
        conn,
        """select t.merchant_id, t.parcel_id, m.body
           from unnest(%(merchant_ids)s::uuid[], %(parcel_ids)s::uuid[], %(keys)s::text[]) as t(merchant_id, parcel_id, message_key)
           join customs_message m on m.merchant_id = t.merchant_id and m.message_key = t.message_key""",
        {"merchant_ids": list(merchant_ids), "parcel_ids": list(parcel_ids), "keys": [turned_back_key(one) for one in parcel_ids]},
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def read_declared_quantities(conn: Conn) -> list[DeclaredQuantity]:
    """Return what live declarations declare per line, for comparison with packed pieces; refused and cancelled ones declare nothing."""
    rows = await fetch(
        conn,
        """select d.merchant_id, d.declaration_id, d.kind, coalesce(l.order_id, d.order_id), d.consignment_id, d.parcel_id, l.line_no,
                  l.quantity, l.legal_unit_code, l.legal_quantity, l.net_weight_g
           from declaration d join declaration_line l on l.merchant_id = d.merchant_id and l.declaration_id = d.declaration_id
           where d.state in ('drafted', 'submitted', 'held', 'released')
           order by d.merchant_id, d.declaration_id, l.line_no""",
    )
    return [
        DeclaredQuantity(row[0], row[1], DeclarationKind(row[2]), row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10]) for row in rows
    ]


_HEAD_FIELDS: Final = (
    "merchant_id", "declaration_id", "order_id", "consignment_id", "parcel_id", "regime_code", "kind", "version",
    "declarant_code", "declarant_id", "exporter_code", "exporter_id", "importer_code", "importer_id", "taxpayer_code", "taxpayer_id",
    "ship_from", "ship_to", "evaluated_on", "currency", "customs_rate", "drafted_at", "state", "state_at", "cause_code", "remedy", "attempt_count",
)  # fmt: skip
_HEAD: Final = f"select {', '.join(f'd.{name}' for name in _HEAD_FIELDS)}"
_LINE_FIELDS: Final = DeclarationLine.__struct_fields__


async def _read(conn: Conn, source: str, merchant_ids: Sequence[uuid.UUID], ids: Sequence[uuid.UUID]) -> list[StoredDeclaration]:
    heads = await fetch(
        conn, f"{_HEAD} {source} order by d.drafted_at, d.version, d.declaration_id", {"merchant_ids": list(merchant_ids), "ids": list(ids)}
    )
    rows = await fetch(
        conn,
        f"""select l.merchant_id, l.declaration_id, {", ".join(f"l.{name}" for name in _LINE_FIELDS)}
           from unnest(%(merchant_ids)s::uuid[], %(ids)s::uuid[]) as t(merchant_id, declaration_id)
           join declaration_line l on l.merchant_id = t.merchant_id and l.declaration_id = t.declaration_id
           order by l.merchant_id, l.declaration_id, l.line_no""",
        {"merchant_ids": [row[0] for row in heads], "ids": [row[1] for row in heads]},
    )
    lines: dict[tuple[uuid.UUID, uuid.UUID], list[DeclarationLine]] = {}
    for row in rows:
        lines.setdefault((row[0], row[1]), []).append(_line(row))
    return [_stored(row, tuple(lines[(row[0], row[1])])) for row in heads]


def _line(row: Row) -> DeclarationLine:
    return msgspec.convert(dict(zip(_LINE_FIELDS, row[2:], strict=True)), DeclarationLine)


def _stored(row: Row, lines: tuple[DeclarationLine, ...]) -> StoredDeclaration:
    named = dict(zip(_HEAD_FIELDS, row, strict=True))
    return StoredDeclaration(
        Declaration(
            merchant_id=named["merchant_id"],
            declaration_id=named["declaration_id"],
            order_id=named["order_id"],
            consignment_id=named["consignment_id"],
            parcel_id=named["parcel_id"],
            regime_code=named["regime_code"],
            kind=DeclarationKind(named["kind"]),
            version=named["version"],
            declarant=Party(named["declarant_code"], named["declarant_id"]),
            exporter=Party(named["exporter_code"], named["exporter_id"]),
            importer=Party(named["importer_code"], named["importer_id"]),
            taxpayer=Party(named["taxpayer_code"], named["taxpayer_id"]),
            ship_from=named["ship_from"],
            ship_to=named["ship_to"],
            evaluated_on=named["evaluated_on"],
            currency=named["currency"],
            customs_rate=named["customs_rate"],
            drafted_at=named["drafted_at"],
            lines=lines,
        ),
        DeclarationState(named["state"]),
        named["state_at"],
        named["cause_code"],
        named["remedy"],
        named["attempt_count"],
    )
