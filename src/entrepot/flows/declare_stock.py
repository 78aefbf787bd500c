"""Merchants say what lies at their own sites: each word is newer than the one before it, and what it cannot cover any more is named and cancelled.

A merchant's software sends words in batches, in sequence per site and SKU, and sends them again when it got no answer. A word that is not
newer than the one in force changes nothing and says why; what does not belong to the merchant is refused by name and leaves the others alone.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.errors import EntrepotError, ForbiddenError, RefusedInputError
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.books.stock.model import Shortage, StockKey, Word, WordState
from entrepot.books.stock.word import read_words, take_words
from entrepot.catalogue.model import UnknownStockItemError, stock_item_id_of
from entrepot.catalogue.store import read_stock_items
from entrepot.flows.cancel import CancelAnswer, cancel_units
from entrepot.flows.choose_units import CancelAsk
from entrepot.flows.outside import Outside
from entrepot.flows.reference import Reference
from entrepot.orders.read import read_allocations, read_lines
from entrepot.sourcing.model import UnknownPlaceError


class ForeignPlaceError(ForbiddenError):
    """The place is not a site of this merchant; a merchant speaks for its own sites only."""


class NegativeWordError(RefusedInputError):
    """A stock figure is a whole number of at least zero."""


class FutureWordError(RefusedInputError):
    """A stock figure must have been counted before it is told; the merchant's clock is wrong."""


class WordOutcome(StrEnum):
    """What became of a merchant's word."""

    TAKEN = "taken"
    EXISTS = "exists"
    STALE = "stale"
    REFUSED = "refused"


class StockWord(Struct, frozen=True):
    """So many units of a SKU may be sold at a site as of an instant; `sequence_no` grows with every word about the same site and SKU."""

    merchant_id: UUID
    place_code: str
    sku: str
    sequence_no: int
    as_of: datetime
    quantity: int

    @property
    def key(self) -> StockKey:
        """The availability that the word is about."""
        return StockKey(self.merchant_id, self.merchant_id, stock_item_id_of(self.merchant_id, self.sku), self.place_code)


class WordAnswer(Struct, frozen=True):
    """What became of a word, in words for people, and the orders it could not cover any more with what their cancellation gave back."""

    word: StockWord
    outcome: WordOutcome
    text: str
    refusal: EntrepotError | None = None
    cancelled: tuple[CancelAnswer, ...] = ()


async def declare_stock(conn: Conn, outside: Outside, words: Sequence[StockWord], actor: Actor, now: datetime) -> list[WordAnswer]:
    """Take merchants' words in the order given and return one answer for each; shortages are cancelled on the merchant's account."""
    known = await read_stock_items(conn, [word.merchant_id for word in words], [word.key.stock_item_id for word in words])
    answers: dict[int, WordAnswer] = {}
    rounds: list[list[int]] = []
    turns: dict[StockKey, int] = {}
    for index, word in enumerate(words):
        refusal = _refusal(outside.reference, word, known, now)
        if refusal is not None:
            answers[index] = WordAnswer(word, WordOutcome.REFUSED, f"{refusal.title} {refusal.remedy}", refusal)
            continue
        turn = turns[word.key] = turns.get(word.key, -1) + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(index)
    for one_each in rounds:
        told = await _take(conn, outside, [words[index] for index in one_each], actor, now)
        answers |= dict(zip(one_each, told, strict=True))
    return [answers[index] for index in range(len(words))]


def _refusal(reference: Reference, word: StockWord, known: Mapping[UUID, object], now: datetime) -> EntrepotError | None:
    """Return why a word is not the merchant's to say, or None."""
    place = reference.network.places.get(word.place_code)
    if place is None:
        return UnknownPlaceError("place_code", word.place_code, "Name one of the merchant's own sites.")
    if place.merchant_id != word.merchant_id:
        return ForeignPlaceError("place_code", word.place_code, "Name one of the merchant's own sites.")
    if word.key.stock_item_id not in known:
        return UnknownStockItemError("sku", word.sku, "Add the SKU to the merchant's catalogue first.")
    if word.quantity < 0:
        return NegativeWordError("quantity", word.quantity, "Give a whole number of at least 0 for %(sku)s.", sku=word.sku)
    if word.as_of > now:
        return FutureWordError("as_of", word.as_of.isoformat(), "Give a time up to %(at)s.", at=now)
    return None


async def _take(conn: Conn, outside: Outside, words: Sequence[StockWord], actor: Actor, now: datetime) -> list[WordAnswer]:
    """Take one word per key: store it, move the difference, and cancel what is short."""
    before = await read_words(conn, [word.key for word in words])
    states, shortages = await take_words(conn, [Word(word.key, word.sequence_no, word.as_of, word.quantity) for word in words])
    taken = [word for word, state in zip(words, states, strict=True) if state is WordState.TAKEN]
    await write_acts(conn, [Act(word.merchant_id, _word_id(word), "declare_stock", now, actor, f"{word.sku}: {word.quantity}") for word in taken])
    await write_facts(conn, [_fact(word, now) for word in taken])
    cancelled = await _cancel_short(conn, outside, taken, shortages, actor, now)
    return [_answer(word, state, before.get(word.key), tuple(cancelled.get(word, ()))) for word, state in zip(words, states, strict=True)]


async def _cancel_short(
    conn: Conn, outside: Outside, words: Sequence[StockWord], shortages: Sequence[Shortage], actor: Actor, now: datetime
) -> dict[StockWord, list[CancelAnswer]]:
    """Cancel what the new figures leave without units, by word; it was promised on the merchant's word, so the merchant answers for it."""
    if not shortages:
        return {}
    merchant_ids, order_ids = [one.merchant_id for one in shortages], [one.holder_id for one in shortages]
    items = {(one.merchant_id, one.order_id, one.line_no): one.stock_item_id for one in await read_lines(conn, merchant_ids, order_ids)}
    places = {(one.order_id, one.line_no, one.part_no): one.place_code for one in await read_allocations(conn, merchant_ids, order_ids)}
    by_key = {(word.merchant_id, word.key.stock_item_id, word.place_code): word for word in words}
    short = [
        by_key[one.merchant_id, items[one.merchant_id, one.holder_id, one.line_no], places[one.holder_id, one.line_no, one.part_no]]
        for one in shortages
    ]
    asks = [
        CancelAsk(
            one.merchant_id, one.holder_id, one.line_no, one.quantity, "merchant", "out_of_stock", f"word-{_word_id(word)}-{one.part_no}", one.part_no
        )
        for one, word in zip(shortages, short, strict=True)
    ]
    told: dict[StockWord, list[CancelAnswer]] = {}
    for word, answer in zip(short, await cancel_units(conn, outside, asks, actor, now), strict=True):
        told.setdefault(word, []).append(answer)
    return told


def _answer(word: StockWord, state: WordState, before: Word | None, cancelled: tuple[CancelAnswer, ...]) -> WordAnswer:
    """Say what became of a word."""
    if state is WordState.TAKEN:
        orders = sorted({str(answer.ask.order_id) for answer in cancelled})
        short = f" Not covered any more and cancelled: {', '.join(orders)}." if orders else ""
        return WordAnswer(
            word, WordOutcome.TAKEN, f"{word.sku} at {word.place_code} is {word.quantity} as of {word.as_of.isoformat()}.{short}", None, cancelled
        )
    if before is not None and (before.sequence_no, before.as_of, before.quantity) == (word.sequence_no, word.as_of, word.quantity):
        return WordAnswer(word, WordOutcome.EXISTS, f"{word.sku} at {word.place_code}: sequence {word.sequence_no} was taken before.")
    newest = f"{before.sequence_no} as of {before.as_of.isoformat()}" if before is not None else "another one"
    return WordAnswer(
        word, WordOutcome.STALE, f"{word.sku} at {word.place_code}: sequence {word.sequence_no} is not newer than {newest}; nothing was changed."
    )


def _word_id(word: StockWord) -> UUID:
    """Return the id under which the word's moves stand in the stock book."""
    return derived_id("word", word.merchant_id, word.key.stock_item_id, word.place_code, word.sequence_no)


def _fact(word: StockWord, now: datetime) -> Fact:
    """Return the news of a new figure."""
    content = {"sku": word.sku, "place": word.place_code, "quantity": word.quantity, "sequence_no": word.sequence_no}
    return Fact(word.merchant_id, _word_id(word), "stock_declared", now, content)
