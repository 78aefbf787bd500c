"""A person's year as one order touches it: what the order holds and used, and a hold that shrinks when a part of the order is cancelled."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn, columns, fetch
from entrepot.customs.quota import QuotaAnswer, QuotaOutcome

WITHDRAWN: Final = "withdrawn:"
"""Beginning of the return key by which value of goods that never left is given back after customs had released them."""


class OrderQuota(Struct, frozen=True):
    """What an order takes of a person's year in fen: the open hold with its attempt (0: none), and what was used less what was withdrawn."""

    person_id: uuid.UUID
    order_id: uuid.UUID
    year_no: int
    attempt: int
    held_minor: int
    used_minor: int

    @property
    def taken_minor(self) -> int:
        """What the order takes in sum."""
        return self.held_minor + self.used_minor


class ShrinkAsk(Struct, frozen=True):
    """Let an order's open hold keep only `value_minor` fen, more than zero."""

    person_id: uuid.UUID
    order_id: uuid.UUID
    attempt: int
    value_minor: int
    at: datetime
    cause: str


async def read_order_quota(
    conn: Conn, person_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], OrderQuota]:
    """Return what orders take of persons' years, given as equally long lists; orders that never held anything are left out."""
    rows = await fetch(
        conn,
        """
        with asked as (select distinct * from unnest(%(persons)s::uuid[], %(orders)s::uuid[]) as t(person_id, order_id)),
        entry as (
            select e.* from quota_entry e join asked t on t.person_id = e.person_id and t.order_id = e.order_id
        ), used as (
            select person_id, order_id, sum(used_minor)::bigint as used_minor from entry
            where kind = 'use' or (kind = 'return' and entry_key like 'return:' || order_id || ':' || %(withdrawn)s || '%%')
            group by person_id, order_id
        ), opened as (
            select h.person_id, h.order_id, substr(h.entry_key, length('hold:' || h.order_id || ':') + 1)::integer as attempt, h.value_minor
            from entry h
            where h.kind = 'hold' and not exists (
                select 1 from entry c where c.person_id = h.person_id and c.entry_key = 'close:' || substr(h.entry_key, 6))
        ), year as (
            select person_id, order_id, max(year_no) as year_no from entry where kind = 'hold' group by person_id, order_id
        )
        select y.person_id, y.order_id, y.year_no, coalesce(o.attempt, 0), coalesce(o.value_minor, 0), coalesce(u.used_minor, 0)
        from year y
        left join opened o on o.person_id = y.person_id and o.order_id = y.order_id
        left join used u on u.person_id = y.person_id and u.order_id = y.order_id
        order by y.person_id, y.order_id
        """,
        {"persons": list(person_ids), "orders": list(order_ids), "withdrawn": WITHDRAWN},
    )
    return {(row[0], row[1]): OrderQuota(*row) for row in rows}


async def read_attempts(conn: Conn, person_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> dict[tuple[uuid.UUID, uuid.UUID], int]:
    """Return how often orders held something of persons' years so far, given as equally long lists; orders that never did are left out."""
    rows = await fetch(
        conn,
        """
        select e.person_id, e.order_id, max(substr(e.entry_key, length('hold:' || e.order_id || ':') + 1)::integer)
        from quota_entry e join (select distinct * from unnest(%(persons)s::uuid[], %(orders)s::uuid[])) as t(person_id, order_id)
          on t.person_id = e.person_id and t.order_id = e.order_id
        where e.kind = 'hold' group by 1, 2
        """,
        {"persons": list(person_ids), "orders": list(order_ids)},
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def shrink_quota(conn: Conn, asks: Sequence[ShrinkAsk]) -> list[QuotaAnswer]:
    """End holds and open them again with less value, in one statement; what is freed counts as used elsewhere in a year reported as full."""
    for ask in asks:
        require_positive(ask.value_minor, "value_minor")
    await fetch(
        conn,
        "select 1 from quota_year where person_id = any(%(people)s::uuid[]) order by person_id, year_no for update",
        {"people": sorted({ask.person_id for ask in asks})},
    )
    rows = await fetch(conn, _SHRINK, columns(asks, "person_id", "order_id", "attempt", "value_minor", "at", "cause"))
    freed = {(row[0], row[1]): row[2] for row in rows}
    return [
        QuotaAnswer(QuotaOutcome.DONE, freed[ask.person_id, ask.order_id])
        if (ask.person_id, ask.order_id) in freed
        else QuotaAnswer(QuotaOutcome.NO_HOLD)
        for ask in asks
    ]


_SHRINK: Final = """
    with ask as (
        select * from unnest(%(person_id)s::uuid[], %(order_id)s::uuid[], %(attempt)s::integer[], %(value_minor)s::bigint[],
                             %(at)s::timestamptz[], %(cause)s::text[]) as t(person_id, order_id, attempt, value_minor, at, cause)
    ), hold as (
        select ask.*, e.year_no, e.value_minor as old_minor
        from ask join quota_entry e on e.person_id = ask.person_id and e.entry_key = 'hold:' || ask.order_id || ':' || ask.attempt
        where e.value_minor > ask.value_minor and not exists (
            select 1 from quota_entry c where c.person_id = e.person_id and c.entry_key = 'close:' || ask.order_id || ':' || ask.attempt)
    ), total as (
        select person_id, year_no, sum(old_minor - value_minor)::bigint as freed_minor from hold group by person_id, year_no
    ), moved as (
        update quota_year q set held_minor = q.held_minor - t.freed_minor,
            free_minor = q.free_minor + case when q.limit_reached_at is null then t.freed_minor else 0 end,
            elsewhere_minor = q.elsewhere_minor + case when q.limit_reached_at is null then 0 else t.freed_minor end
        from total t where q.person_id = t.person_id and q.year_no = t.year_no
        returning q.person_id, q.year_no, q.limit_reached_at is not null as is_reached
    ), written as (
        insert into quota_entry (person_id, entry_key, year_no, kind, value_minor, used_minor, held_minor, elsewhere_minor, order_id, at, cause)
        select h.person_id, 'close:' || h.order_id || ':' || h.attempt, h.year_no, 'release', h.old_minor, 0, -h.old_minor,
               case when m.is_reached then h.old_minor - h.value_minor else 0 end, h.order_id, h.at, h.cause
        from hold h join moved m on m.person_id = h.person_id and m.year_no = h.year_no
        union all
        select h.person_id, 'hold:' || h.order_id || ':' || (h.attempt + 1), h.year_no, 'hold', h.value_minor, 0, h.value_minor, 0,
               h.order_id, h.at, h.cause
        from hold h join moved m on m.person_id = h.person_id and m.year_no = h.year_no
    )
    select person_id, order_id, old_minor - value_minor from hold order by person_id, order_id
"""
