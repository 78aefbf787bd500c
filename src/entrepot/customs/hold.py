"""A person's year: an order holds its dutiable value, release by customs uses it, cancellation and accepted returns give it back.

The hold is one guarded statement over all persons; each entry has a key, so that a replay changes nothing.
"""

import uuid
from collections.abc import Sequence
from typing import Final

from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn, columns, execute, fetch
from entrepot.customs.quota import (
    CloseAsk,
    ElsewhereAsk,
    HoldAsk,
    QuotaAnswer,
    QuotaKind,
    QuotaOutcome,
    QuotaYear,
    ReturnAsk,
    rounds_of,
)


async def hold_quota(conn: Conn, asks: Sequence[HoldAsk]) -> list[QuotaAnswer]:
    """Hold each ask's value if the person's year has room, first come first served; refused asks learn what is free, in fen."""
    for ask in asks:
        require_positive(ask.value_minor, "value_minor")
    answers = [QuotaAnswer(QuotaOutcome.EXISTS)] * len(asks)
    await _open_years(conn, [(ask.person_id, ask.year_no, ask.limit_minor) for ask in asks])
    for dealt in rounds_of(asks, lambda ask: (ask.person_id, ask.year_no)):
        batch = sorted(dealt, key=lambda item: (item[1].person_id, item[1].year_no))
        chosen = [ask for _, ask in batch]
        keys = [_hold_key(ask.order_id, ask.attempt) for ask in chosen]
        held = {(row[0], row[1]) for row in await fetch(conn, _HOLD, {**columns(chosen, *_HOLD_FIELDS), "keys": keys})}
        missed = [item for item, key in zip(batch, keys, strict=True) if (item[1].person_id, key) not in held]
        for position, ask in batch:
            answers[position] = QuotaAnswer(QuotaOutcome.DONE, ask.value_minor)
        if missed:
            await _explain_missed_holds(conn, missed, answers)
    return answers


_HOLD_FIELDS: Final = ("person_id", "year_no", "value_minor", "order_id", "at", "cause")
_HOLD: Final = """
    with ask as (
        select * from unnest(%(person_id)s::uuid[], %(year_no)s::integer[], %(value_minor)s::bigint[], %(order_id)s::uuid[],
                             %(at)s::timestamptz[], %(cause)s::text[], %(keys)s::text[])
            as a(person_id, year_no, value_minor, order_id, at, cause, entry_key)
    ), fresh as (
        select ask.* from ask
        where not exists (select 1 from quota_entry e where e.person_id = ask.person_id and e.entry_key = ask.entry_key)
    ), taken as (
        update quota_year q set held_minor = q.held_minor + f.value_minor, free_minor = q.free_minor - f.value_minor
        from fresh f
        where q.person_id = f.person_id and q.year_no = f.year_no and q.free_minor >= f.value_minor
        returning q.person_id, f.entry_key, q.year_no, f.value_minor, f.order_id, f.at, f.cause
    )
    insert into quota_entry (person_id, entry_key, year_no, kind, value_minor, used_minor, held_minor, elsewhere_minor, order_id, at, cause)
    select person_id, entry_key, year_no, 'hold', value_minor, 0, value_minor, 0, order_id, at, cause from taken
    returning person_id, entry_key
"""


async def use_quota(conn: Conn, asks: Sequence[CloseAsk]) -> list[QuotaAnswer]:
    """Turn whole holds into used value when customs has released the goods."""
    return await _close_holds(conn, asks, QuotaKind.USE)


async def release_quota(conn: Conn, asks: Sequence[CloseAsk]) -> list[QuotaAnswer]:
    """Give whole holds back when an order ended before release; in a year that customs reported as full nothing becomes free."""
    return await _close_holds(conn, asks, QuotaKind.RELEASE)


async def _close_holds(conn: Conn, asks: Sequence[CloseAsk], kind: QuotaKind) -> list[QuotaAnswer]:
    batch = sorted(asks, key=lambda ask: (ask.person_id, ask.order_id, ask.attempt))
    await lock_years(conn, [ask.person_id for ask in batch])
    first = list({(ask.person_id, ask.order_id, ask.attempt): ask for ask in reversed(batch)}.values())
    params = {
        **columns(first, "person_id", "order_id", "at", "cause"),
        "hold_keys": [_hold_key(ask.order_id, ask.attempt) for ask in first],
        "close_keys": [_close_key(ask.order_id, ask.attempt) for ask in first],
    }
    closed = {(row[0], row[1]): row[2] for row in await fetch(conn, _USE if kind is QuotaKind.USE else _RELEASE, params)}
    stored = await _entries(conn, [ask.person_id for ask in first], [_close_key(ask.order_id, ask.attempt) for ask in first])
    answers: list[QuotaAnswer] = []
    for ask in asks:
        key = (ask.person_id, _close_key(ask.order_id, ask.attempt))
        if key in closed:
            answers.append(QuotaAnswer(QuotaOutcome.DONE, closed.pop(key)))
        elif key not in stored:
            answers.append(QuotaAnswer(QuotaOutcome.NO_HOLD))
        else:
            stored_kind, value_minor = stored[key]
            answers.append(QuotaAnswer(QuotaOutcome.EXISTS if stored_kind == kind else QuotaOutcome.CLOSED, value_minor))
    return answers


_CLOSE: Final = """
    with ask as (
        select * from unnest(%(person_id)s::uuid[], %(order_id)s::uuid[], %(at)s::timestamptz[], %(cause)s::text[],
                             %(hold_keys)s::text[], %(close_keys)s::text[])
            as a(person_id, order_id, at, cause, hold_key, close_key)
    ), hold as (
        select ask.*, e.year_no, e.value_minor
        from ask join quota_entry e on e.person_id = ask.person_id and e.entry_key = ask.hold_key
        where not exists (select 1 from quota_entry c where c.person_id = ask.person_id and c.entry_key = ask.close_key)
    ), total as (
        select person_id, year_no, sum(value_minor)::bigint as value_minor from hold group by person_id, year_no
    ), moved as (
        update quota_year q set {changes}
        from total t where q.person_id = t.person_id and q.year_no = t.year_no
        returning q.person_id, q.year_no, q.limit_reached_at is not null as is_reached
    )
    insert into quota_entry (person_id, entry_key, year_no, kind, value_minor, used_minor, held_minor, elsewhere_minor, order_id, at, cause)
    select h.person_id, h.close_key, h.year_no, {entry}, h.order_id, h.at, h.cause
    from hold h join moved m on m.person_id = h.person_id and m.year_no = h.year_no
    returning person_id, entry_key, value_minor
"""
_USE: Final = _CLOSE.format(
    changes="held_minor = q.held_minor - t.value_minor, used_minor = q.used_minor + t.value_minor",
    entry="'use', h.value_minor, h.value_minor, -h.value_minor, 0",
)
_RELEASE: Final = _CLOSE.format(
    changes="""held_minor = q.held_minor - t.value_minor,
               free_minor = q.free_minor + case when q.limit_reached_at is null then t.value_minor else 0 end,
               elsewhere_minor = q.elsewhere_minor + case when q.limit_reached_at is null then 0 else t.value_minor end""",
    entry="'release', h.value_minor, 0, -h.value_minor, case when m.is_reached then h.value_minor else 0 end",
)


async def return_quota(conn: Conn, asks: Sequence[ReturnAsk]) -> list[QuotaAnswer]:
    """Give back exactly the value of accepted returns to the year that was charged; more than the order used is refused."""
    for ask in asks:
        require_positive(ask.value_minor, "value_minor")
    answers = [QuotaAnswer(QuotaOutcome.EXISTS)] * len(asks)
    await lock_years(conn, [ask.person_id for ask in asks])
    for dealt in rounds_of(asks, lambda ask: (ask.person_id, ask.order_id)):
        batch = sorted(dealt, key=lambda item: (item[1].person_id, item[1].order_id))
        chosen = [ask for _, ask in batch]
        keys = [_return_key(ask) for ask in chosen]
        people = [ask.person_id for ask in chosen]
        before = await _entries(conn, people, keys)
        given = {(row[0], row[1]) for row in await fetch(conn, _RETURN, {**columns(chosen, *_RETURN_FIELDS), "keys": keys})}
        for (position, ask), key in zip(batch, keys, strict=True):
            stored = before.get((ask.person_id, key))
            if (ask.person_id, key) in given:
                answers[position] = QuotaAnswer(QuotaOutcome.DONE, ask.value_minor)
            elif stored is None:
                answers[position] = QuotaAnswer(QuotaOutcome.REFUSED)
            else:
                answers[position] = QuotaAnswer(QuotaOutcome.EXISTS if stored[1] == ask.value_minor else QuotaOutcome.DIFFERS, stored[1])
    return answers


_RETURN_FIELDS: Final = ("person_id", "order_id", "value_minor", "at", "cause")
_RETURN: Final = """
    with ask as (
        select * from unnest(%(person_id)s::uuid[], %(order_id)s::uuid[], %(value_minor)s::bigint[], %(at)s::timestamptz[], %(cause)s::text[],
                             %(keys)s::text[])
            as a(person_id, order_id, value_minor, at, cause, entry_key)
    ), charged as (
        select ask.person_id, ask.order_id, min(e.year_no) filter (where e.kind = 'use') as year_no, sum(e.used_minor)::bigint as left_minor
        from ask join quota_entry e on e.person_id = ask.person_id and e.order_id = ask.order_id
        group by ask.person_id, ask.order_id
    ), due as (
        select ask.*, c.year_no from ask join charged c on c.person_id = ask.person_id and c.order_id = ask.order_id
        where c.year_no is not null and c.left_minor >= ask.value_minor
          and not exists (select 1 from quota_entry e where e.person_id = ask.person_id and e.entry_key = ask.entry_key)
    ), total as (
        select person_id, year_no, sum(value_minor)::bigint as value_minor from due group by person_id, year_no
    ), moved as (
        update quota_year q set used_minor = q.used_minor - t.value_minor, free_minor = q.free_minor + t.value_minor
        from total t where q.person_id = t.person_id and q.year_no = t.year_no and q.used_minor >= t.value_minor
        returning q.person_id, q.year_no
    )
    insert into quota_entry (person_id, entry_key, year_no, kind, value_minor, used_minor, held_minor, elsewhere_minor, order_id, at, cause)
    select d.person_id, d.entry_key, d.year_no, 'return', d.value_minor, -d.value_minor, 0, 0, d.order_id, d.at, d.cause
    from due d join moved m on m.person_id = d.person_id and m.year_no = d.year_no
    returning person_id, entry_key
"""


async def report_elsewhere(conn: Conn, asks: Sequence[ElsewhereAsk]) -> list[QuotaAnswer]:
    """Record that customs knows no room in a year: what was free counts as used elsewhere, and free is zero."""
    answers = [QuotaAnswer(QuotaOutcome.EXISTS)] * len(asks)
    await _open_years(conn, [(ask.person_id, ask.year_no, ask.limit_minor) for ask in asks])
    await lock_years(conn, [ask.person_id for ask in asks])
    for dealt in rounds_of(asks, lambda ask: (ask.person_id, ask.year_no)):
        chosen = [ask for _, ask in dealt]
        keys = [f"elsewhere:{ask.report_key}" for ask in chosen]
        params = {**columns(chosen, "person_id", "year_no", "order_id", "at", "cause"), "keys": keys}
        moved = {(row[0], row[1]): row[2] for row in await fetch(conn, _ELSEWHERE, params)}
        for (position, ask), key in zip(dealt, keys, strict=True):
            value_minor = moved.get((ask.person_id, key))
            if value_minor is not None:
                answers[position] = QuotaAnswer(QuotaOutcome.DONE, value_minor)
    return answers


_ELSEWHERE: Final = """
    with ask as (
        select * from unnest(%(person_id)s::uuid[], %(year_no)s::integer[], %(order_id)s::uuid[], %(at)s::timestamptz[], %(cause)s::text[],
                             %(keys)s::text[])
            as a(person_id, year_no, order_id, at, cause, entry_key)
    ), fresh as (
        select ask.*, q.free_minor from ask join quota_year q on q.person_id = ask.person_id and q.year_no = ask.year_no
        where not exists (select 1 from quota_entry e where e.person_id = ask.person_id and e.entry_key = ask.entry_key)
    ), moved as (
        update quota_year q set elsewhere_minor = q.elsewhere_minor + q.free_minor, free_minor = 0,
                                limit_reached_at = coalesce(q.limit_reached_at, f.at)
        from fresh f where q.person_id = f.person_id and q.year_no = f.year_no
        returning q.person_id, f.entry_key
    )
    insert into quota_entry (person_id, entry_key, year_no, kind, value_minor, used_minor, held_minor, elsewhere_minor, order_id, at, cause)
    select f.person_id, f.entry_key, f.year_no, 'elsewhere', f.free_minor, 0, 0, f.free_minor, f.order_id, f.at, f.cause
    from fresh f join moved m on m.person_id = f.person_id and m.entry_key = f.entry_key
    returning person_id, entry_key, value_minor
"""


async def read_quota(conn: Conn, person_ids: Sequence[uuid.UUID], year_no: int) -> dict[uuid.UUID, QuotaYear]:
    """Return the stored years of persons; a person without a row has used nothing here."""
    rows = await fetch(
        conn,
        """select person_id, year_no, limit_minor, used_minor, held_minor, elsewhere_minor, free_minor, limit_reached_at
           from quota_year where person_id = any(%(person_ids)s::uuid[]) and year_no = %(year_no)s""",
        {"person_ids": list(person_ids), "year_no": year_no},
    )
    return {row[0]: QuotaYear(*row) for row in rows}


async def _open_years(conn: Conn, years: Sequence[tuple[uuid.UUID, int, int]]) -> None:
    wanted = sorted({(person_id, year_no): limit_minor for person_id, year_no, limit_minor in reversed(years)}.items())
    await execute(
        conn,
        """insert into quota_year (person_id, year_no, limit_minor, used_minor, held_minor, elsewhere_minor, free_minor)
           select person_id, year_no, limit_minor, 0, 0, 0, limit_minor
           from unnest(%(person_ids)s::uuid[], %(years)s::integer[], %(limits)s::bigint[]) as t(person_id, year_no, limit_minor)
           on conflict do nothing""",
        {"person_ids": [key[0] for key, _ in wanted], "years": [key[1] for key, _ in wanted], "limits": [limit for _, limit in wanted]},
    )


async def lock_years(conn: Conn, person_ids: Sequence[uuid.UUID]) -> None:
    """Lock persons' years in key order, so that the statement after it sees everything that was committed before."""
    await fetch(
        conn,
        "select 1 from quota_year where person_id = any(%(person_ids)s::uuid[]) order by person_id, year_no for update",
        {"person_ids": sorted(set(person_ids))},
    )


async def _entries(conn: Conn, person_ids: Sequence[uuid.UUID], keys: Sequence[str]) -> dict[tuple[uuid.UUID, str], tuple[str, int]]:
    rows = await fetch(
        conn,
        """select e.person_id, e.entry_key, e.kind, e.value_minor
           from unnest(%(person_ids)s::uuid[], %(keys)s::text[]) as t(person_id, entry_key)
           join quota_entry e on e.person_id = t.person_id and e.entry_key = t.entry_key""",
        {"person_ids": list(person_ids), "keys": list(keys)},
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


async def _explain_missed_holds(conn: Conn, missed: Sequence[tuple[int, HoldAsk]], answers: list[QuotaAnswer]) -> None:
    people = [ask.person_id for _, ask in missed]
    stored = await _entries(conn, people, [_hold_key(ask.order_id, ask.attempt) for _, ask in missed])
    free = {
        (row[0], row[1]): row[2]
        for row in await fetch(
            conn,
            "select person_id, year_no, free_minor from quota_year where person_id = any(%(person_ids)s::uuid[])",
            {"person_ids": people},
        )
    }
    for position, ask in missed:
        entry = stored.get((ask.person_id, _hold_key(ask.order_id, ask.attempt)))
        if entry is None:
            answers[position] = QuotaAnswer(QuotaOutcome.REFUSED, 0, free[(ask.person_id, ask.year_no)])
        else:
            answers[position] = QuotaAnswer(QuotaOutcome.EXISTS if entry[1] == ask.value_minor else QuotaOutcome.DIFFERS, entry[1])


def _hold_key(order_id: uuid.UUID, attempt: int) -> str:
    return f"hold:{order_id}:{attempt}"


def _close_key(order_id: uuid.UUID, attempt: int) -> str:
    """Use and release share a key: a hold ends once."""
    return f"close:{order_id}:{attempt}"


def _return_key(ask: ReturnAsk) -> str:
    return f"return:{ask.order_id}:{ask.return_key}"
