"""The stock book against a model of dictionaries: random batches of moves, holds, shipments and releases, with replays and twins."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct
from msgspec.structs import replace
from tests.factories.walks import walk

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch
from entrepot.books.stock.model import (
    BONDED,
    CARRIER,
    FREE,
    LOST,
    NO_LOT,
    SELLABLE,
    SUPPLIER,
    AlreadyHeldError,
    Consumption,
    Location,
    Move,
    ReservationAsk,
    StockKey,
    StockPosting,
    UnitsNotThereError,
    key_of,
)
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.prove import prove_reservations, prove_units
from entrepot.books.stock.read import read_availability
from entrepot.books.stock.replay import replay_moves
from entrepot.books.stock.reserve import release_units, reserve_units, shorten_reservations

AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
MERCHANTS = [derived_id("merchant", name) for name in ("walk", "other")]
ITEMS = [derived_id("item", name) for name in ("scarce", "rare")]
INSIDE = [
    (place, spot, lot, condition, status)
    for place in ("P1", "P2")
    for spot, lot, condition, status in [
        ("bin:A", NO_LOT, SELLABLE, FREE),
        ("bin:B", "L1", SELLABLE, FREE),
        ("stage", NO_LOT, SELLABLE, FREE),
        ("receive", NO_LOT, SELLABLE, FREE),
        ("bin:A", NO_LOT, "damaged", FREE),
        ("bin:A", "L1", SELLABLE, BONDED),
    ]
]
OUTSIDE = [(place, "-", NO_LOT, SELLABLE, FREE) for place in (CARRIER, LOST)]
SOURCE = (SUPPLIER, "-", NO_LOT, SELLABLE, FREE)

stocks = st.tuples(st.integers(0, 1), st.integers(0, 1))
"""Merchant and item by number, so that a failing walk can be read."""
few = st.integers(1, 4)
inside = st.sampled_from(INSIDE)
receipts = st.tuples(st.just(SOURCE), inside, st.integers(1, 6))
shifts = st.tuples(inside, st.sampled_from(INSIDE + OUTSIDE), few)
keys = st.tuples(
    stocks, st.sampled_from(["P1", "P1", "P2", "P9"]), st.sampled_from([SELLABLE, SELLABLE, "damaged"]), st.sampled_from([FREE, FREE, BONDED])
)
asks = st.lists(st.tuples(keys, few, st.integers(0, 2)), min_size=1, max_size=6)
some = st.integers(0, 40)


class Hold(Struct):
    """A reservation as the model keeps it."""

    key: StockKey
    quantity: int
    at: datetime
    open: int
    consumed: int = 0
    short: int = 0
    state: str = "held"


class StockModel:
    """What the book should hold: balances by location, holds by (merchant, holder, line, part), postings by (merchant, id)."""

    def __init__(self):
        self.balances = Counter()
        self.holds = {}
        self.posted = set()

    def on_hand(self):
        counted = Counter()
        for location, balance in self.balances.items():
            if location.is_on_hand:
                counted[key_of(location)] += balance
        return counted

    def reserved(self):
        counted = Counter()
        for hold in self.holds.values():
            counted[hold.key] += hold.open
        return counted

    def free(self):
        reserved = self.reserved()
        return {key: units - reserved[key] for key, units in self.on_hand().items()}

    def post(self, postings):
        """Return the ids that are new and the model after them, or None where units are missing."""
        after = StockModel()
        after.balances, after.posted = self.balances.copy(), set(self.posted)
        after.holds = {key: replace(hold) for key, hold in self.holds.items()}
        new = set()
        for posting in postings:
            if not posting.moves or (posting.merchant_id, posting.posting_id) in after.posted:
                continue
            after.posted.add((posting.merchant_id, posting.posting_id))
            new.add(posting.posting_id)
            for move in posting.moves:
                after.balances[move.source] -= move.quantity
                after.balances[move.target] += move.quantity
            for eaten in posting.consumptions:
                after.consume(eaten)
        return (new, after) if after.stands() else (None, self)

    def consume(self, part):
        hold = self.holds.get(part_key(part))
        if hold is None:
            return
        hold.open -= part.quantity
        hold.consumed += part.quantity
        if hold.open == 0:
            hold.state = "consumed"

    def stands(self):
        on_hand, reserved = self.on_hand(), self.reserved()
        return (
            all(balance >= 0 for location, balance in self.balances.items() if not location.is_source)
            and all(hold.open >= 0 for hold in self.holds.values())
            and all(units <= on_hand[key] for key, units in reserved.items())
        )

    def reserve(self, asks):
        """Decide ask by ask; return (is held, free if not) of each."""
        free = self.free()
        answers = []
        for ask in asks:
            left = free.get(ask.key, 0)
            answers.append((left >= ask.quantity, left))
            if left >= ask.quantity:
                free[ask.key] = left - ask.quantity
                self.holds[part_key(ask)] = Hold(ask.key, ask.quantity, ask.at, ask.quantity)
        return answers

    def release(self, parts):
        """Give back part by part, what is short first; return what each reservation gave back."""
        given = Counter()
        for part in parts:
            hold = self.holds.get(part_key(part))
            if hold is None or not hold.open + hold.short:
                continue
            settled = min(part.quantity, hold.short)
            back = min(part.quantity - settled, hold.open)
            hold.short -= settled
            hold.open -= back
            hold.state = "short" if hold.short else "held" if hold.open else "released"
            given[part_key(part)] += back
        return +given

    def shorten(self, key, loss):
        """Close the youngest holds as far as the rest cannot cover a loss; return the shortages."""
        missing = self.reserved()[key] - (self.on_hand()[key] - loss)
        shortages = Counter()
        for name, hold in sorted(self.holds.items(), key=lambda item: (item[1].at, item[0][1:]), reverse=True):
            if hold.key == key and hold.open and missing > 0:
                taken = min(hold.open, missing)
                missing -= taken
                hold.open -= taken
                hold.short += taken
                hold.state = "short"
                shortages[name] = taken
        return shortages


def part_key(part):
    return part.merchant_id, part.holder_id, part.line_no, part.part_no


def location(stock, spot):
    merchant_id = MERCHANTS[stock[0]]
    return Location(merchant_id, merchant_id, ITEMS[stock[1]], *spot)


class StockWalk(RuleBasedStateMachine):
    """Random batches against the book and the model alike."""

    def __init__(self, bench):
        super().__init__()
        self.bench = bench
        self.bench.start()
        self.model = StockModel()
        self.history = []
        self.names = 0

    def teardown(self):
        self.bench.undo()

    def read(self, sql):
        return self.bench.run(fetch(self.bench.conn, sql))

    def name(self, kind):
        self.names += 1
        return derived_id(kind, self.names)

    def attempt(self, work, *refusals):
        """Do something in a savepoint; return its answer, or the refusal, after which nothing may have changed."""

        async def inside():
            try:
                async with self.bench.conn.transaction():
                    return await work
            except refusals as refusal:
                return refusal

        return self.bench.run(inside())

    def posting(self, stock, moves, consumptions=()):
        made = [Move(location(stock, source), location(stock, target), quantity) for source, target, quantity in moves]
        return StockPosting(MERCHANTS[stock[0]], self.name("posting"), AT, "walk", ITEMS[0], made, tuple(consumptions))

    def post(self, postings, twins):
        """Post a batch into which postings that stand, and twins of its own, are mixed."""
        batch = list(postings)
        for place in twins:
            known = self.history + batch
            batch.insert(place % (len(batch) + 1), known[place % len(known)])
        new, after = self.model.post(batch)
        answer = self.attempt(post_moves(self.bench.conn, batch), UnitsNotThereError)
        if new is None:
            assert isinstance(answer, UnitsNotThereError), answer
        else:
            assert answer == new
            self.history += postings
        self.model = after

    @initialize(units=few, asks=asks)
    def open_shop(self, units, asks):
        spots = [INSIDE[0], INSIDE[1], INSIDE[6]]
        stocks = [(0, 0), (0, 1), (1, 0), (1, 1)]
        self.post([self.posting(stock, [(SOURCE, spot, units) for spot in spots]) for stock in stocks], [])
        self.reserve([((stock, "P1", SELLABLE, FREE), units, 0) for stock in stocks])
        self.reserve(asks)

    @rule(postings=st.lists(st.tuples(stocks, st.lists(receipts, min_size=1, max_size=3)), min_size=1, max_size=5), twins=st.lists(some, max_size=3))
    def receive(self, postings, twins):
        self.post([self.posting(*one) for one in postings], twins)

    @rule(postings=st.lists(st.tuples(stocks, st.lists(shifts, min_size=1, max_size=2)), min_size=1, max_size=3), twins=st.lists(some, max_size=2))
    def move(self, postings, twins):
        self.post([self.posting(*one) for one in postings], twins)

    @precondition(lambda self: self.model.holds)
    @rule(parts=st.lists(st.tuples(some, few), min_size=1, max_size=4), together=st.booleans(), twins=st.lists(some, max_size=2))
    def ship(self, parts, together, twins):
        """Let held units leave from where their key counts them, several parts of one reservation among them."""
        chosen = [(*self.hold_at(place), quantity) for place, quantity in parts]
        leaving = [(name, hold, min(quantity, hold.open or quantity)) for name, hold, quantity in chosen]
        postings = []
        for (merchant_id, holder_id, line_no, part_no), hold, quantity in leaving:
            stock = (MERCHANTS.index(merchant_id), ITEMS.index(hold.key.stock_item_id))
            spots = [one for one in INSIDE if key_of(location(stock, one)) == hold.key and location(stock, one).is_on_hand]
            source = max(spots, key=lambda one: self.model.balances[location(stock, one)]) if spots else INSIDE[0]
            eaten = Consumption(merchant_id, holder_id, line_no, part_no, quantity)
            target = (CARRIER, *source[1:])
            postings.append(self.posting(stock, [(source, target, quantity)], [eaten]))
        if postings and together and len({one.merchant_id for one in postings}) == 1:
            moves = [move for one in postings for move in one.moves]
            eaten = [part for one in postings for part in one.consumptions]
            postings = [replace(postings[0], moves=moves, consumptions=tuple(eaten))]
        if postings:
            self.post(postings, twins)

    def hold_at(self, place):
        """Return a hold, rather one of which something is open or short."""
        held = list(self.model.holds.items())
        busy = [one for one in held if one[1].open or one[1].short]
        known = busy if busy and place % 4 else held
        return known[place % len(known)]

    @rule(asks=asks)
    def reserve(self, asks):
        batch = []
        for (stock, place_code, condition, status), quantity, minutes in asks:
            merchant_id = MERCHANTS[stock[0]]
            key = StockKey(merchant_id, merchant_id, ITEMS[stock[1]], place_code, condition, status)
            at = AT + timedelta(minutes=minutes)
            batch.append(ReservationAsk(merchant_id, self.name("order"), 1 + minutes, 1, key, quantity, at, None))
        self.hold(batch)

    @precondition(lambda self: self.model.holds)
    @rule(places=st.lists(some, min_size=1, max_size=3), fewer=st.integers(0, 1), moved_to=st.sampled_from([None, None, "P1", "P2"]))
    def reserve_again(self, places, fewer, moved_to):
        """What was given back whole is held once more, there or elsewhere; what is held or consumed already is refused, and all of its batch."""
        chosen = dict(self.hold_at(place) for place in places)
        keys = {name: replace(hold.key, place_code=moved_to or hold.key.place_code) for name, hold in chosen.items()}
        batch = [ReservationAsk(*name, keys[name], max(1, hold.quantity - fewer), AT, None) for name, hold in chosen.items()]
        if all(hold.state == "released" and not hold.consumed for hold in chosen.values()):
            self.hold(batch)
            return
        covered = StockModel.reserve(self.copy(), batch)
        answer = self.attempt(reserve_units(self.bench.conn, batch), AlreadyHeldError)
        if any(is_held and not self.may_hold(ask) for (is_held, _), ask in zip(covered, batch, strict=True)):
            assert isinstance(answer, AlreadyHeldError), answer
        else:
            self.model.reserve(batch)
            self.check_answers(answer, covered)

    def copy(self):
        _, copied = self.model.post([])
        copied.holds = {key: replace(hold) for key, hold in self.model.holds.items()}
        return copied

    def may_hold(self, ask):
        hold = self.model.holds[part_key(ask)]
        return hold.open + hold.consumed + hold.short == 0

    def hold(self, batch):
        expected = self.model.reserve(batch)
        self.check_answers(self.bench.run(reserve_units(self.bench.conn, batch)), expected)

    def check_answers(self, answers, expected):
        assert [answer.is_held for answer in answers] == [is_held for is_held, _ in expected]
        assert [answer.free for answer in answers if not answer.is_held] == [left for is_held, left in expected if not is_held]

    @precondition(lambda self: self.model.holds)
    @rule(parts=st.lists(st.tuples(some, few), min_size=1, max_size=5), twins=st.lists(some, max_size=2))
    def release(self, parts, twins):
        batch = [Consumption(*self.hold_at(place)[0], quantity) for place, quantity in parts]
        batch += [batch[place % len(batch)] for place in twins]
        batch.append(Consumption(MERCHANTS[0], derived_id("order", "nobody"), 1, 1, 1))
        given = self.bench.run(release_units(self.bench.conn, batch))
        assert {part_key(one): one.quantity for one in given} == self.model.release(batch)
        assert len(given) == len({part_key(one) for one in given})

    @rule(place=some, loss=few, more=st.booleans())
    def shorten(self, place, loss, more):
        """A loss closes the youngest holds first; then the units go, those that are free and a few more."""
        on_hand, reserved = self.model.on_hand(), self.model.reserved()
        known = sorted((key for key, units in on_hand.items() if units), key=str)
        keys = [key for key in known if reserved[key]] or known
        if not keys:
            return
        key = keys[place % len(keys)]
        lost = min(loss + (on_hand[key] - reserved[key] if more else 0), on_hand[key])
        shortages = self.bench.run(shorten_reservations(self.bench.conn, [key], [lost]))
        assert {part_key(one): one.quantity for one in shortages} == self.model.shorten(key, lost)
        moves = []
        for spot in [one for one in self.model.balances if one.is_on_hand and key_of(one) == key]:
            gone = min(lost, self.model.balances[spot])
            lost -= gone
            moves += [Move(spot, replace(spot, place_code=LOST), gone)] if gone else []
        self.post([StockPosting(key.merchant_id, self.name("posting"), AT, "loss", ITEMS[0], moves)], [])

    @invariant()
    def balances_agree(self):
        columns = "merchant_id, owner_id, stock_item_id, place_code, spot_code, lot_code, condition_code, customs_status"
        rows = self.read(f"select {columns}, balance from stock_location where balance <> 0")
        assert {Location(*row[:8]): row[8] for row in rows} == {one: balance for one, balance in self.model.balances.items() if balance}
        for merchant_id in MERCHANTS:
            assert sum(balance for one, balance in self.model.balances.items() if one.merchant_id == merchant_id) == 0

    @invariant()
    def availability_agrees(self):
        columns = "merchant_id, owner_id, stock_item_id, place_code, condition_code, customs_status, pool_code"
        rows = self.read(f"select {columns}, on_hand, reserved from stock_availability where on_hand <> 0 or reserved <> 0")
        on_hand, reserved = self.model.on_hand(), self.model.reserved()
        assert {StockKey(*row[:7]): row[7:] for row in rows} == {key: (units, reserved[key]) for key, units in on_hand.items() if units}
        pairs = [(merchant_id, item) for merchant_id in MERCHANTS for item in ITEMS]
        found = self.bench.run(read_availability(self.bench.conn, [pair[0] for pair in pairs], [pair[1] for pair in pairs]))
        free = {key: units for key, units in self.model.free().items() if units and key.condition_code == SELLABLE}
        assert {one.key: one.free for one in found} == free

    @invariant()
    def holds_agree(self):
        columns = "merchant_id, holder_id, line_no, part_no, open_quantity, consumed_quantity, short_quantity, state"
        rows = self.read(f"select {columns} from stock_reservation")
        expected = {name: (hold.open, hold.consumed, hold.short, hold.state) for name, hold in self.model.holds.items()}
        assert {row[:4]: row[4:] for row in rows} == expected

    @invariant()
    def laws_hold(self):
        for prove in (prove_units, prove_reservations, replay_moves):
            assert self.bench.run(prove(self.bench.conn))[1] == []


@pytest.mark.timeout(900)  # a walk that fails is made shorter for a few minutes
def test_random_batches_leave_what_a_plain_model_says(worker_database):
    walk(StockWalk, worker_database, walks=30, steps=20)
