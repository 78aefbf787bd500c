"""The merchant's word: stock at a merchant's own site is what the merchant says it is, in sequence."""

from collections.abc import Sequence

from entrepot.base.batching import batch
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn, fetch
from entrepot.books.stock.model import (
    SITE,
    WORD,
    Location,
    Move,
    Shortage,
    StockKey,
    StockPosting,
    Word,
    WordState,
    on_hand_by_word,
)
from entrepot.books.stock.post import key_columns, open_availability, post_moves
from entrepot.books.stock.reserve import shorten_reservations


@batch
async def take_words(conn: Conn, words: Sequence[Word]) -> tuple[list[WordState], list[Shortage]]:
    """Take merchants' words, each newer than the one before it, and post the difference; a stale word changes nothing.

    A batch holds at most one word per key, and returns each word's state beside the reservations that the new figures cannot cover.
    """
    if not words:
        return [], []
    taken = await _store_words(conn, words)
    fresh = [word for word in words if word.key in taken]
    await open_availability(conn, [word.key for word in fresh])
    differences = await _differences(conn, fresh)
    losing = [(word.key, -delta) for word, delta in differences if delta < 0]
    shortages = await shorten_reservations(conn, [key for key, _ in losing], [loss for _, loss in losing]) if losing else []
    await post_moves(conn, [_posting(word, delta) for word, delta in differences if delta])
    return [WordState.TAKEN if word.key in taken else WordState.STALE for word in words], shortages


@batch
async def read_words(conn: Conn, keys: Sequence[StockKey]) -> dict[StockKey, Word]:
    """Return the words in force for keys that have one."""
    rows = await fetch(
        conn,
        """
        select t.position, w.sequence_no, w.as_of, w.quantity
        from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[])
             with ordinality as t(merchant_id, stock_item_id, place_code, position)
        join stock_word w on w.merchant_id = t.merchant_id and w.stock_item_id = t.stock_item_id and w.place_code = t.place_code
        """,
        key_columns(keys),
    )
    stored = {int(row[0]): row for row in rows}
    return {key: Word(key, int(row[1]), row[2], int(row[3])) for place, key in enumerate(keys, start=1) if (row := stored.get(place)) is not None}


async def _store_words(conn: Conn, words: Sequence[Word]) -> set[StockKey]:
    """Write words whose sequence is newer and return their keys."""
    rows = await fetch(
        conn,
        """
        insert into stock_word as w (merchant_id, stock_item_id, place_code, sequence_no, as_of, quantity)
        select * from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[], %(sequences)s::bigint[], %(ats)s::timestamptz[],
            %(quantities)s::bigint[])
        on conflict (merchant_id, stock_item_id, place_code) do update
        set sequence_no = excluded.sequence_no, as_of = excluded.as_of, quantity = excluded.quantity
        where excluded.sequence_no > w.sequence_no and excluded.as_of >= w.as_of
        returning merchant_id, stock_item_id, place_code
        """,
        _word_columns(words),
    )
    newer = {(row[0], row[1], row[2]) for row in rows}
    return {word.key for word in words if (word.key.merchant_id, word.key.stock_item_id, word.key.place_code) in newer}


async def _differences(conn: Conn, words: Sequence[Word]) -> list[tuple[Word, int]]:
    """Return for each word how far the books are from what it implies."""
    rows = await fetch(
        conn,
        """
        select a.on_hand, coalesce(before.held, 0)::bigint, coalesce(later.gone, 0)::bigint
        from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[], %(owners)s::uuid[], %(ats)s::timestamptz[])
             with ordinality as t(merchant_id, stock_item_id, place_code, owner_id, as_of, position)
        join stock_availability a on a.merchant_id = t.merchant_id and a.stock_item_id = t.stock_item_id and a.place_code = t.place_code
             and a.owner_id = t.owner_id and a.condition_code = 'sellable' and a.customs_status = 'free' and a.pool_code = '-'
        left join lateral (
            select sum(r.open_quantity) as held from stock_reservation r
            where r.merchant_id = t.merchant_id and r.stock_item_id = t.stock_item_id and r.place_code = t.place_code
              and r.open_quantity > 0 and r.at <= t.as_of
        ) before on true
        left join lateral (
            select sum(r.consumed_quantity) as gone from stock_reservation r
            where r.merchant_id = t.merchant_id and r.stock_item_id = t.stock_item_id and r.place_code = t.place_code and r.at > t.as_of
        ) later on true
        order by t.position
        """,
        _word_columns(words),
    )
    return [(word, on_hand_by_word(word.quantity, row[1], row[2]) - int(row[0])) for word, row in zip(words, rows, strict=True)]


def _posting(word: Word, delta: int) -> StockPosting:
    """Build the posting that brings a site's books to the merchant's word."""
    key = word.key
    site = Location(key.merchant_id, key.owner_id, key.stock_item_id, key.place_code, SITE)
    said = Location(key.merchant_id, key.owner_id, key.stock_item_id, WORD)
    cause_id = derived_id("word", key.merchant_id, key.stock_item_id, key.place_code, word.sequence_no)
    move = Move(said, site, delta) if delta > 0 else Move(site, said, -delta)
    return StockPosting(key.merchant_id, cause_id, word.as_of, "merchant_word", cause_id, [move])


def _word_columns(words: Sequence[Word]) -> dict[str, object]:
    """Return words as columns to bind."""
    return key_columns([word.key for word in words]) | {
        "sequences": [word.sequence_no for word in words],
        "ats": [word.as_of for word in words],
        "quantities": [word.quantity for word in words],
    }
