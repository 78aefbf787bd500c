"""Drafting declarations with their lines, submitting them with their messages, cancelling them; each by batch and harmless when repeated."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.base.sql import Conn, columns, execute, fetch, json_column
from entrepot.customs.model import DECLARATION_STATES, CustomsMessage, Declaration, DeclarationState, MessageKind, Submission


class Written(StrEnum):
    """Whether a row is new, was there already, or was not in a state that allows the step."""

    NEW = "new"
    EXISTS = "exists"
    NOT_ALLOWED = "not_allowed"


class DeclarationWithoutLinesError(RefusedInputError):
    """A declaration names at least one line; its drafter adds the goods."""


async def insert_declarations(conn: Conn, declarations: Sequence[Declaration]) -> list[Written]:
    """Store drafted declarations with their lines; an id that is there already is left as it is."""
    for declaration in declarations:
        if not declaration.lines:
            raise DeclarationWithoutLinesError("lines", str(declaration.declaration_id), "Declare at least one line.")
    rows = await fetch(conn, _INSERT_DECLARATIONS, {**columns(declarations, *_PLAIN), **_party_columns(declarations)})
    new = {(row[0], row[1]) for row in rows}
    first = {(one.merchant_id, one.declaration_id): one for one in reversed(declarations)}
    await _insert_lines(conn, [first[key] for key in sorted(new)])
    written: list[Written] = []
    for declaration in declarations:
        key = (declaration.merchant_id, declaration.declaration_id)
        written.append(Written.NEW if key in new else Written.EXISTS)
        new.discard(key)
    return written


_PLAIN: Final = (
    "merchant_id", "declaration_id", "order_id", "consignment_id", "parcel_id", "regime_code", "kind", "version", "ship_from", "ship_to",
    "evaluated_on", "currency", "customs_rate", "drafted_at",
)  # fmt: skip
_ROLES: Final = ("declarant", "exporter", "importer", "taxpayer")


def _party_columns(declarations: Sequence[Declaration]) -> dict[str, list[Any]]:
    parties: dict[str, list[Any]] = {}
    for role in _ROLES:
        parties[f"{role}_code"] = [getattr(declaration, role).code for declaration in declarations]
        parties[f"{role}_id"] = [getattr(declaration, role).party_id for declaration in declarations]
    return parties


_INSERT_DECLARATIONS: Final = """
    insert into declaration (
        merchant_id, declaration_id, order_id, consignment_id, parcel_id, regime_code, kind, version, ship_from, ship_to,
        evaluated_on, currency, customs_rate, drafted_at, declarant_code, declarant_id, exporter_code, exporter_id,
        importer_code, importer_id, taxpayer_code, taxpayer_id, state, state_at, cause_code, remedy, attempt_count)
    select t.*, 'drafted', t.drafted_at, '', '', 0
    from unnest(
        %(merchant_id)s::uuid[], %(declaration_id)s::uuid[], %(order_id)s::uuid[], %(consignment_id)s::uuid[], %(parcel_id)s::uuid[],
        %(regime_code)s::text[], %(kind)s::text[], %(version)s::integer[], %(ship_from)s::text[], %(ship_to)s::text[],
        %(evaluated_on)s::date[], %(currency)s::text[], %(customs_rate)s::numeric[], %(drafted_at)s::timestamptz[],
        %(declarant_code)s::text[], %(declarant_id)s::uuid[], %(exporter_code)s::text[], %(exporter_id)s::uuid[],
        %(importer_code)s::text[], %(importer_id)s::uuid[], %(taxpayer_code)s::text[], %(taxpayer_id)s::uuid[])
        as t(merchant_id, declaration_id, order_id, consignment_id, parcel_id, regime_code, kind, version, ship_from, ship_to,
             evaluated_on, currency, customs_rate, drafted_at, declarant_code, declarant_id, exporter_code, exporter_id,
             importer_code, importer_id, taxpayer_code, taxpayer_id)
    on conflict do nothing
    returning merchant_id, declaration_id
"""


async def _insert_lines(conn: Conn, declarations: Iterable[Declaration]) -> None:
    owned = [(declaration, line) for declaration in declarations for line in declaration.lines]
    if not owned:
        return
    await execute(
        conn,
        _INSERT_LINES,
        {
            "merchant_id": [declaration.merchant_id for declaration, _ in owned],
            "declaration_id": [declaration.declaration_id for declaration, _ in owned],
            **columns((line for _, line in owned), *_LINE_FIELDS),
        },
    )


_LINE_TYPES: Final = {
    "line_no": "integer", "order_id": "uuid", "hs_code": "text", "origin_code": "text", "quantity": "bigint", "legal_unit_code": "text",
    "legal_quantity": "numeric", "net_weight_g": "bigint", "goods_minor": "bigint", "discount_minor": "bigint", "discount_funder": "text",
    "freight_minor": "bigint", "insurance_minor": "bigint", "currency": "text", "rate": "numeric", "method": "text",
    "customs_value_minor": "bigint", "duty_minor": "bigint", "tax_minor": "bigint", "rule_version": "text",
}  # fmt: skip
_LINE_FIELDS: Final = tuple(_LINE_TYPES)
_INSERT_LINES: Final = f"""
    insert into declaration_line (merchant_id, declaration_id, {", ".join(_LINE_FIELDS)})
    select * from unnest(%(merchant_id)s::uuid[], %(declaration_id)s::uuid[],
                         {", ".join(f"%({name})s::{kind}[]" for name, kind in _LINE_TYPES.items())})
"""


async def submit_declarations(conn: Conn, submissions: Sequence[Submission], at: datetime) -> list[Written]:
    """Mark declarations as submitted on this attempt and store what was sent; an attempt that was counted before is a replay."""
    rows = await fetch(
        conn,
        """update declaration d set state = 'submitted', state_at = %(at)s, cause_code = '', remedy = '', attempt_count = t.attempt
           from unnest(%(merchant_id)s::uuid[], %(declaration_id)s::uuid[], %(attempt)s::integer[]) as t(merchant_id, declaration_id, attempt)
           where d.merchant_id = t.merchant_id and d.declaration_id = t.declaration_id
             and d.attempt_count = t.attempt - 1 and d.state = any(%(sources)s::text[])
           returning d.merchant_id, d.declaration_id, d.attempt_count""",
        {
            **columns(submissions, "merchant_id", "declaration_id", "attempt"),
            "at": at,
            "sources": DECLARATION_STATES.sources_of(DeclarationState.SUBMITTED),
        },
    )
    new = {(row[0], row[1], row[2]) for row in rows}
    sent = [one for one in submissions if (one.merchant_id, one.declaration_id, one.attempt) in new]
    await insert_messages(conn, [message for one in sent for message in messages_of(one, at)])
    counted = await _attempts(conn, submissions)
    written: list[Written] = []
    for one in submissions:
        key = (one.merchant_id, one.declaration_id, one.attempt)
        is_replay = counted.get((one.merchant_id, one.declaration_id), 0) >= one.attempt
        written.append(Written.NEW if key in new else Written.EXISTS if is_replay else Written.NOT_ALLOWED)
        new.discard(key)
    return written


async def _attempts(conn: Conn, submissions: Sequence[Submission]) -> dict[tuple[uuid.UUID, uuid.UUID], int]:
    rows = await fetch(
        conn,
        """select d.merchant_id, d.declaration_id, d.attempt_count
           from unnest(%(merchant_id)s::uuid[], %(declaration_id)s::uuid[]) as t(merchant_id, declaration_id)
           join declaration d on d.merchant_id = t.merchant_id and d.declaration_id = t.declaration_id""",
        columns(submissions, "merchant_id", "declaration_id"),
    )
    return {(row[0], row[1]): row[2] for row in rows}


def messages_of(submission: Submission, at: datetime) -> list[CustomsMessage]:
    """Return the messages of a submission as they are stored: the documents it carries and the declaration, without personal data."""
    parts: list[tuple[MessageKind, object]] = [
        (MessageKind.ORDER, submission.order),
        (MessageKind.PAYMENT, submission.payment),
        (MessageKind.LOGISTICS, submission.logistics),
        (MessageKind.DECLARATION, (submission.value_minor, submission.tax_minor, submission.currency, submission.quantities)),
    ]
    return [
        CustomsMessage(
            submission.merchant_id,
            f"{submission.declaration_id}:{kind}:{submission.attempt}",
            submission.declaration_id,
            kind,
            {"attempt": submission.attempt, "content": msgspec.to_builtins(content)},
            at,
        )
        for kind, content in parts
        if content is not None
    ]


async def insert_messages(conn: Conn, messages: Sequence[CustomsMessage]) -> list[Written]:
    """Store messages under their keys; a key that is there already is a replay."""
    rows = await fetch(
        conn,
        """insert into customs_message (merchant_id, message_key, declaration_id, kind, body, at)
           select * from unnest(%(merchant_id)s::uuid[], %(message_key)s::text[], %(declaration_id)s::uuid[], %(kind)s::text[],
                                %(bodies)s::jsonb[], %(at)s::timestamptz[])
           on conflict do nothing returning merchant_id, message_key""",
        {
            **columns(messages, "merchant_id", "message_key", "declaration_id", "kind", "at"),
            "bodies": json_column(dict(message.body) for message in messages),
        },
    )
    new = {(row[0], row[1]) for row in rows}
    written: list[Written] = []
    for message in messages:
        key = (message.merchant_id, message.message_key)
        written.append(Written.NEW if key in new else Written.EXISTS)
        new.discard(key)
    return written


class CancelAsk(Struct, frozen=True):
    """End a declaration that customs has not decided, with the cause."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    cause_code: str


async def cancel_declarations(conn: Conn, asks: Sequence[CancelAsk], at: datetime) -> list[Written]:
    """Cancel declarations before customs released or refused them; cancelled ones answer `exists`, decided ones `not_allowed`."""
    rows = await fetch(
        conn,
        """with ask as (
               select * from unnest(%(merchant_id)s::uuid[], %(declaration_id)s::uuid[], %(cause_code)s::text[])
                   as t(merchant_id, declaration_id, cause_code)
           ), ended as (
               update declaration d set state = 'cancelled', state_at = %(at)s, cause_code = ask.cause_code, remedy = ''
               from ask where d.merchant_id = ask.merchant_id and d.declaration_id = ask.declaration_id and d.state = any(%(sources)s::text[])
               returning d.merchant_id, d.declaration_id
           )
           select d.merchant_id, d.declaration_id, e.declaration_id is not null, d.state
           from ask join declaration d on d.merchant_id = ask.merchant_id and d.declaration_id = ask.declaration_id
           left join ended e on e.merchant_id = d.merchant_id and e.declaration_id = d.declaration_id""",
        {
            **columns(asks, "merchant_id", "declaration_id", "cause_code"),
            "at": at,
            "sources": DECLARATION_STATES.sources_of(DeclarationState.CANCELLED),
        },
    )
    found = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    written: list[Written] = []
    for ask in asks:
        is_ended, state_before = found.get((ask.merchant_id, ask.declaration_id), (False, ""))
        is_replay = state_before == DeclarationState.CANCELLED
        written.append(Written.NEW if is_ended else Written.EXISTS if is_replay else Written.NOT_ALLOWED)
        found[(ask.merchant_id, ask.declaration_id)] = (False, DeclarationState.CANCELLED if is_ended else state_before)
    return written
