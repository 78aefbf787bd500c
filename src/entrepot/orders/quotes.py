"""Quotes that were shown: what a checkout would cost until when, kept so that an order can be held to it."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.errors import ConflictError
from entrepot.base.sql import Conn, columns, execute, fetch, json_column
from entrepot.orders.model import QuoteExpiredError, UnknownQuoteError


class QuoteChangedError(ConflictError):
    """The order would not cost what its quote showed; ask for a new quote and show it."""


class Quote(Struct, frozen=True):
    """A total in minor units that holds until an instant, with the plan it came from."""

    person_id: uuid.UUID
    quote_id: uuid.UUID
    marketplace_code: str
    currency: str
    total_minor: int
    quoted_at: datetime
    valid_until: datetime
    plan: Mapping[str, object]


async def insert_quotes(conn: Conn, quotes: Sequence[Quote]) -> None:
    """Keep quotes; one that is kept already stays as it was shown."""
    await execute(
        conn,
        """
        insert into quote (person_id, quote_id, marketplace_code, currency, total_minor, quoted_at, valid_until, plan)
        select * from unnest(%(person_id)s::uuid[], %(quote_id)s::uuid[], %(marketplace_code)s::text[], %(currency)s::text[], %(total_minor)s::bigint[],
                             %(quoted_at)s::timestamptz[], %(valid_until)s::timestamptz[], %(plans)s::jsonb[])
        on conflict do nothing
        """,
        columns(quotes, "person_id", "quote_id", "marketplace_code", "currency", "total_minor", "quoted_at", "valid_until")
        | {"plans": json_column(one.plan for one in quotes)},
    )


async def read_quotes(conn: Conn, person_ids: Sequence[uuid.UUID], quote_ids: Sequence[uuid.UUID]) -> dict[tuple[uuid.UUID, uuid.UUID], Quote]:
    """Return quotes of persons by (person, quote)."""
    rows = await fetch(
        conn,
        """
        select q.person_id, q.quote_id, q.marketplace_code, q.currency, q.total_minor, q.quoted_at, q.valid_until, q.plan
        from (select distinct * from unnest(%(persons)s::uuid[], %(quotes)s::uuid[])) as t(person_id, quote_id)
        join quote q on q.person_id = t.person_id and q.quote_id = t.quote_id
        """,
        {"persons": list(person_ids), "quotes": list(quote_ids)},
    )
    return {(row[0], row[1]): Quote(*row) for row in rows}


def require_as_quoted(quote_id: uuid.UUID, quote: Quote | None, total_minor: int, currency: str, at: datetime) -> None:
    """Refuse an order whose quote is unknown, no longer valid, or showed another total."""
    if quote is None:
        raise UnknownQuoteError("quote_id", str(quote_id), "Ask for a quote first and name its id.")
    if at >= quote.valid_until:
        raise QuoteExpiredError("quote_id", str(quote_id), "It held until %(at)s; ask for a new quote.", at=quote.valid_until)
    if (quote.total_minor, quote.currency) != (total_minor, currency):
        raise QuoteChangedError(
            "quote_id",
            str(quote_id),
            "The quote showed %(shown)s, the order would cost %(asked)s (minor units); ask for a new quote.",
            shown=f"{quote.total_minor} {quote.currency}",
            asked=f"{total_minor} {currency}",
        )
