"""The intake against a plain model: random batches of orders, payments of every mood, expiries, cancellations and shipments, with replays by key."""

import sys
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from tests.factories.china import BONDED, LIMIT, ORDERER, year
from tests.factories.house import AT, BUYER, STAFF
from tests.factories.scarce import BRITISH, CHINESE, LTN, MAN, USED, VALUES, ask, minutes, open_scarce
from tests.factories.sold import Sale, SoldLine
from tests.factories.walks import walk

from entrepot.base.due import Due
from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch
from entrepot.flows.cancel import CancelAsk, cancel_units
from entrepot.flows.check_laws import check_laws
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.order_to_cash import EXPIRE, PAY, place_orders, take_payments
from entrepot.flows.run_due import run_due
from entrepot.orders.read import read_allocations
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

INSTANT = {"invoice", "test_wallet"}
DECIDED = {"card_ok": (0, True), "cn_wallet": (0, True), "card_declined": (0, False), "card_slow": (4, True), "card_timeout": (15, False)}
DECIDED |= {"card_late": (90, True)}
"""After how many minutes a payment is decided, and whether it is approved."""
HOLD, RETRY = minutes(30), minutes(5)
ORDER_LIMIT = 500_000
LIVE = {"awaiting_payment", "paid"}

british = st.tuples(
    st.just("GB"),
    st.sampled_from(BRITISH),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=3),
    st.sampled_from(["invoice", "card_ok", "card_declined", "card_slow", "card_timeout", "card_late", "card_late"]),
)
chinese = st.tuples(
    st.just("CN_GP"),
    st.sampled_from(CHINESE),
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 2)), min_size=1, max_size=2),
    st.sampled_from(["invoice", "cn_wallet", "card_late", "card_slow"]),
)
wishes = st.one_of(british, british, chinese)
slow = st.tuples(
    st.just("GB"), st.sampled_from(BRITISH), st.permutations(range(4)).map(lambda order: [(one, 2) for one in order[:2]]), st.just("card_late")
)
some = st.integers(0, 60)
twins = st.lists(st.tuples(some, st.integers(0, 2)), max_size=2)


def same_values(first, second):
    return replace(first, checkout_id=second.checkout_id, at=second.at) == second


class IntakeWalk(RuleBasedStateMachine):
    """Random batches against the flows and the model alike."""

    def __init__(self, bench, house):
        super().__init__()
        self.bench, self.house = bench, house
        self.bench.start()
        self.conn, self.outside = bench.conn, house.outside
        self.offers = {offer.offer_id: offer for offers in house.offers.values() for offer in offers}
        self.values = {offer.offer_id: value for offer, value in zip(house.offers["CN_GP"], VALUES, strict=True)}
        self.skus = {(offer.merchant_id, offer.stock_item_id): offer.sku for offer in self.offers.values()}
        self.now = AT
        self.sales = {}
        self.by_key = {}
        self.cancel_keys = {}
        self.free = Counter(house.units)
        self.names = 0
        self.earlier = {row[0] for row in self.read("select checkout_id from checkout")}

    def run(self, work):
        return self.bench.run(work)

    def read(self, sql, **params):
        return self.run(fetch(self.conn, sql, params))

    # -- placed ------------------------------------------------------------------------------------------------------

    @initialize(wanted=st.lists(slow, min_size=1, max_size=2))
    def begin(self, wanted):
        """Orders whose payments will come late, so that the walk finds out whether they can be honoured."""
        self.place(wanted, [])

    @rule(wanted=st.lists(wishes, min_size=1, max_size=5), twins=twins)
    def place(self, wanted, twins):
        batch = []
        for store, person, lines, method in wanted:
            self.names += 1
            batch.append(ask(self.house, store, person, f"key-{self.names}", lines, method, self.now))
        for position, kind in twins:
            known = [sale.request for sale in self.sales.values()] + batch
            batch.insert(position % (len(batch) + 1), self.twin(known[position % len(known)], kind))
        expected = self.expect(batch)
        answers = self.run(place_orders(self.conn, self.outside, batch, BUYER))
        assert [self.told(answer) for answer in answers] == expected
        placed = [(request, answer) for request, answer in zip(batch, answers, strict=True) if answer.state == "placed"]
        for request, answer in placed:
            self.add_sale(request, answer)
        for request, answer in zip(batch, answers, strict=True):
            if answer.state == "exists":
                assert self.by_key[request.person_id, request.request_key].answer == (answer.checkout_id, answer.total_minor, answer.orders)

    def twin(self, request, kind):
        """The same request again: as it was, with other values, or as another checkout."""
        first, *rest = request.lines
        other = replace(request, lines=(replace(first, quantity=first.quantity + 1), *rest), at=self.now)
        again = replace(request, at=self.now)
        return (again, other, replace(again, checkout_id=derived_id("another", request.checkout_id)))[kind]

    @staticmethod
    def told(answer):
        return answer.state if answer.refusal is None else answer.refusal.code

    def expect(self, batch):
        """Decide a batch request by request, each on what the ones before it left."""
        free, room = Counter(), LIMIT - USED - self.held_quota()
        for (sku, _), units in self.free.items():
            free[sku] += units
        firsts, expected = {}, []
        for request in batch:
            key = (request.person_id, request.request_key)
            known = self.by_key[key].request if key in self.by_key else firsts[key][0] if key in firsts else None
            if known is not None and not same_values(known, request):
                expected.append("key_used_for_other_request")
            elif known is not None:
                code = firsts[key][1] if key in firsts else "placed"
                expected.append("exists" if code == "placed" else code)
            else:
                code, value = self.decide(request, free, room)
                room -= value
                firsts[key] = (request, code)
                expected.append(code)
        return expected

    def decide(self, request, free, room):
        """Return the answer to a fresh request and the value it takes of the year; what it takes of the shelf is taken."""
        taken = Counter()
        values, pieces = Counter(), Counter()
        for line in request.lines:
            sku = self.offers[line.offer_id].sku
            if free[sku] - taken[sku] < line.quantity:
                return "not_enough_units", 0
            taken[sku] += line.quantity
            values[line.merchant_id] += self.values.get(line.offer_id, 0) * line.quantity
            pieces[line.merchant_id] += line.quantity
        if any(value > ORDER_LIMIT and pieces[merchant_id] > 1 for merchant_id, value in values.items()):
            return "cbec_order_over_limit", 0
        if values.total() > room:
            return "cbec_year_over_limit", 0
        free.subtract(taken)
        return "placed", values.total()

    def add_sale(self, request, answer):
        """Keep a placed checkout, with the places that were chosen for it."""
        numbers, lines = Counter(), {}
        orders = dict(answer.orders)
        for line in request.lines:
            numbers[line.merchant_id] += 1
            sku = self.offers[line.offer_id].sku
            key = (line.merchant_id, orders[line.merchant_id], numbers[line.merchant_id])
            lines[key] = SoldLine(sku, self.values.get(line.offer_id, 0), line.quantity)
        told = (answer.checkout_id, answer.total_minor, answer.orders)
        is_paid = request.method_code in INSTANT
        sale = Sale(request, "paid" if is_paid else "awaiting_payment", answer.total_minor, told, lines, None if is_paid else self.now)
        sale.captured = answer.total_minor if is_paid else 0
        self.sales[request.checkout_id] = self.by_key[request.person_id, request.request_key] = sale
        self.read_parts(sale)
        assert all(line.open == line.quantity for line in lines.values())
        self.free.subtract(sale.parts())

    def read_parts(self, sale):
        """Read which places serve what is left of a checkout; parts that have left stay as they were."""
        keys = sorted({key[:2] for key in sale.lines})
        for line in sale.lines.values():
            line.parts = {}
        for part in self.run(read_allocations(self.conn, [key[0] for key in keys], [key[1] for key in keys])):
            line = sale.lines[part.merchant_id, part.order_id, part.line_no]
            if part.part_no in line.left:
                assert line.left[part.part_no] == (part.place_code, part.quantity)
            else:
                line.parts[part.part_no] = (part.place_code, part.quantity)

    def held_quota(self):
        return sum(line.value * line.open for sale in self.sales.values() if sale.state in LIVE for line in sale.lines.values())

    # -- paid, declined, late ----------------------------------------------------------------------------------------

    @rule(count=st.sampled_from([1, 5, 16, 40, 60, 100]), steps=st.sampled_from(["", "pay", "expire", "expire pay", "pay expire"]))
    def wait(self, count, steps):
        """Time passes, and what is due is done in either order, or not yet."""
        self.now += minutes(count)
        for step in steps.split():
            {"pay": self.pay, "expire": self.expire}[step]()

    def pay(self):
        work = [sale for sale in self.sales.values() if sale.pay_at is not None and sale.pay_at <= self.now]
        assert self.run(run_due(self.conn, self.outside, PAY, self.now, 1000)) == len(work)
        self.settle(work)

    @precondition(lambda self: self.sales)
    @rule(places=st.lists(some, min_size=1, max_size=4))
    def pay_again(self, places):
        """The provider is asked out of turn, about what was decided before too: that stays as it is."""
        chosen = list({id(sale): sale for sale in (self.sale_at(place) for place in places)}.values())
        work = [Due(sale.answer[2][0][0], PAY, sale.request.checkout_id, self.now, sale.request.person_id) for sale in chosen]
        self.run(take_payments(self.conn, self.outside, work, self.now))
        self.settle(chosen)

    def sale_at(self, place):
        sales = list(self.sales.values())
        return sales[place % len(sales)]

    def settle(self, work):
        """Do to the model what the provider's answers do; which late payments could be honoured is read, and must have been right."""
        late = []
        for sale in work:
            after, is_approved = DECIDED.get(sale.request.method_code, (0, None))
            is_waiting = sale.pay_at is not None
            if is_approved is None or sale.request.at + minutes(after) > self.now:
                sale.pay_at = self.now + RETRY if is_waiting else None
                continue
            sale.pay_at = None
            if is_approved and sale.state == "awaiting_payment":
                sale.state, sale.captured = "paid", sale.total
            elif is_approved and sale.state == "expired":
                late.append(sale)
            elif not is_approved and sale.state == "awaiting_payment":
                self.drop(sale, "declined")
        self.settle_late(late)

    def drop(self, sale, state):
        sale.state = state
        self.free.update(sale.parts())

    def settle_late(self, late):
        found = dict(self.read("select checkout_id, state from checkout"))
        can_hold = [sale for sale in late if sale.request.identity_id is None]
        wanted = sum((sale.parts() for sale in can_hold), Counter())
        if all(self.free[key] >= units for key, units in wanted.items()):
            assert all(found[sale.request.checkout_id] == "paid" for sale in can_hold)
        for sale in late:
            sale.state = found[sale.request.checkout_id]
            assert sale.state in {"paid", "refunded"}
            sale.captured = sale.total
            if sale.state == "refunded":
                sale.refunded = sale.total
                continue
            assert sale in can_hold
            self.free.subtract(sale.parts())
        assert all(units >= 0 for units in self.free.values())
        refused = [sale for sale in can_hold if sale.state == "refunded"]
        if len(refused) == 1:
            assert any(self.free[key] < units for key, units in refused[0].parts().items())

    # -- expired -----------------------------------------------------------------------------------------------------

    def expire(self):
        self.run(run_due(self.conn, self.outside, EXPIRE, self.now, 1000))
        for sale in self.sales.values():
            if sale.state == "awaiting_payment" and sale.request.at + HOLD <= self.now:
                self.drop(sale, "expired")

    # -- cancelled ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.sales)
    @rule(asked=st.lists(st.tuples(some, some, st.integers(1, 4), st.sampled_from(["", "", "a", "b"])), min_size=1, max_size=4))
    def cancel(self, asked):
        asks = []
        for place, line, quantity, name in asked:
            lines = list(self.sale_at(place).lines)
            asks.append(CancelAsk(*lines[line % len(lines)], quantity, "buyer", "changed_mind", name))
        expected = self.expect_cancelled(asks)
        answers = self.run(cancel_units(self.conn, self.outside, asks, BUYER, self.now))
        assert [str(answer.outcome) for answer in answers] == expected
        taken = {}
        for answer in answers:
            if answer.outcome == "done":
                assert answer.cancelled == answer.ask.quantity
                taken.setdefault(self.sale_of(answer.ask).request.checkout_id, []).append(answer)
        for checkout_id, done in taken.items():
            self.take_back(self.sales[checkout_id], done)

    def sale_of(self, ask):
        return next(sale for sale in self.sales.values() if ask.line_key in sale.lines)

    def expect_cancelled(self, asks):
        """Decide asks one by one; an ask with a key counts once, and a key that changed nothing may be used again."""
        taken, claimed, expected = Counter(), {}, []
        for one in asks:
            key = (*one.line_key, one.key)
            known = self.cancel_keys.get(key, claimed.get(key)) if one.key else None
            if known is not None:
                expected.append("exists" if known == one.quantity else "differs")
                continue
            claimed[key] = one.quantity
            expected.append(self.decide_cancel(one, taken))
            if expected[-1] == "done":
                taken[one.line_key] += one.quantity
        done = [(*one.line_key, one.key) for one, outcome in zip(asks, expected, strict=True) if outcome == "done"]
        self.cancel_keys |= {key: claimed[key] for key in done if key[3]}
        return expected

    def decide_cancel(self, ask, taken):
        sale = self.sale_of(ask)
        line = sale.lines[ask.line_key]
        if sale.state not in LIVE or ask.order_key not in sale.open_orders():
            return "exists"
        left = line.open - taken[ask.line_key]
        if left >= ask.quantity:
            return "done"
        if left:
            return "too_many"
        return "handed_over" if line.shipped else "exists"

    def take_back(self, sale, answers):
        """Take cancelled units from a checkout; what is read must be exactly that much less, and money goes back only where it was taken."""
        before, total = sale.parts(), sale.total
        opens = {key: line.open for key, line in sale.lines.items()}
        for answer in answers:
            opens[answer.ask.line_key] -= answer.ask.quantity
            sale.lines[answer.ask.line_key].cancelled += answer.ask.quantity
        self.read_parts(sale)
        assert opens == {key: line.open for key, line in sale.lines.items()}
        self.free.update(before - sale.parts())
        if sale.state == "awaiting_payment":
            assert {answer.refund_minor for answer in answers} == {0}
            ((sale.total,),) = self.read("select total_minor from checkout where checkout_id = %(id)s", id=sale.request.checkout_id)
            assert 0 <= sale.total < total
            ended = "cancelled"
        else:
            sale.refunded += sum(answer.refund_minor for answer in answers)
            assert 0 < sale.refunded <= sale.captured
            ended = "refunded"
        if not sale.open_orders():
            assert ended == "refunded" or sale.total == 0
            assert ended == "cancelled" or sale.refunded == sale.captured
            sale.state, sale.pay_at = ended, None

    # -- shipped -----------------------------------------------------------------------------------------------------

    @rule(place=st.sampled_from([LTN, MAN]))
    def ship(self, place):
        """Everything that waits on a floor leaves."""
        self.run(pick_and_pack(self.conn, self.outside, self.run(read_queue(self.conn, place, WorkState.QUEUED, 1000)), self.now))
        packed = [entry.order for entry in self.run(read_queue(self.conn, place, WorkState.PACKED, 1000))]
        self.run(hand_over(self.conn, self.outside, packed, STAFF, self.now))
        for sale in self.sales.values():
            for line in sale.lines.values() if sale.state == "paid" else ():
                gone = {part_no: part for part_no, part in line.parts.items() if part[0] == place}
                line.left |= gone
                line.parts = {part_no: part for part_no, part in line.parts.items() if part_no not in gone}

    # -- after every step --------------------------------------------------------------------------------------------

    @invariant()
    def units_agree(self):
        """Sold, held and free units of each SKU and place are the units brought in."""
        rows = self.read("select merchant_id, stock_item_id, place_code, on_hand, reserved from stock_availability")
        found = {(self.skus[row[:2]], row[2]): row[3:] for row in rows}
        gone, held = Counter(), Counter()
        for sale in self.sales.values():
            held.update(sale.parts() if sale.state in LIVE else Counter())
            for line in sale.lines.values():
                for place, units in line.left.values():
                    gone[line.sku, place] += units
        earlier = Counter({(self.house.offers["CN_GP"][0].sku, BONDED): 8})
        for key, units in self.house.units.items():
            assert held[key] + gone[key] + self.free[key] == units
            assert found[key] == (units + earlier[key] - gone[key], held[key] + earlier[key])

    @invariant()
    def holds_have_live_orders(self):
        rows = self.read(
            """select r.merchant_id, r.holder_id, r.line_no, r.part_no, r.open_quantity from stock_reservation r
               left join customer_order o on o.merchant_id = r.merchant_id and o.order_id = r.holder_id
               where r.open_quantity > 0 and o.checkout_id <> all(%(earlier)s)""",
            earlier=list(self.earlier),
        )
        live = [sale for sale in self.sales.values() if sale.state in LIVE]
        expected = {(*key, part_no): part[1] for sale in live for key, line in sale.lines.items() for part_no, part in line.parts.items()}
        assert {row[:4]: row[4] for row in rows} == expected

    @invariant()
    def checkouts_agree(self):
        rows = self.read(
            """select c.checkout_id, c.state, c.total_minor, p.captured_minor, p.refunded_minor from checkout c
               join payment p on p.person_id = c.person_id and p.checkout_id = c.checkout_id where c.checkout_id <> all(%(earlier)s)""",
            earlier=list(self.earlier),
        )
        expected = {key: (sale.state, sale.total, sale.captured, sale.refunded) for key, sale in self.sales.items()}
        assert len(rows) == len(expected)  # one payment for each
        assert {row[0]: row[1:] for row in rows} == expected
        for _, state, _, captured, refunded in rows:
            assert (captured > 0) is (state in {"paid", "refunded"})
            assert (refunded == captured) is (state != "paid")

    @invariant()
    def waiting_entries_agree(self):
        """Only unpaid checkouts wait, each with what it is asked for."""
        rows = self.read(
            """select p.checkout_id, sum(e.amount_minor)::bigint from money_posting p
               join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id and e.account_code = 'psp'
               where p.phase = 'pending' and not exists (
                   select 1 from money_posting d where d.merchant_id = p.merchant_id and d.pending_id = p.posting_id)
               group by 1"""
        )
        assert dict(rows) == {key: sale.asked for key, sale in self.sales.items() if sale.state == "awaiting_payment"}

    @invariant()
    def lines_agree(self):
        rows = self.read(
            """select l.merchant_id, l.order_id, l.line_no, l.quantity, l.cancelled, l.shipped, o.state from order_line l
               join customer_order o on o.merchant_id = l.merchant_id and o.order_id = l.order_id where o.checkout_id <> all(%(earlier)s)""",
            earlier=list(self.earlier),
        )
        expected = {key: (line.quantity, line.cancelled, line.shipped) for sale in self.sales.values() for key, line in sale.lines.items()}
        assert {row[:3]: row[3:6] for row in rows} == expected
        states = {row[:2]: row[6] for row in rows}
        for sale in self.sales.values():
            for key in {key[:2] for key in sale.lines}:
                is_live = sale.state in LIVE and key in sale.open_orders()
                assert (states[key] == "awaiting_payment") is (is_live and sale.state == "awaiting_payment")
                assert (states[key] == "cancelled") is not is_live

    @invariant()
    def quota_agrees(self):
        held = USED + self.held_quota()
        assert held <= LIMIT
        assert self.run(year(self.conn, ORDERER)) == (0, held, 0, LIMIT - held)

    def teardown(self):
        """In the end every payment is decided, and all laws hold."""
        try:
            if self.sales and sys.exc_info()[0] is None:  # a walk that failed is not finished
                for _ in range(2):
                    self.wait(100, "pay expire")
                assert not any(sale.state == "awaiting_payment" for sale in self.sales.values())
                assert [row for law in self.run(check_laws(self.conn, self.outside.reference)) for row in law.rows] == []
        finally:
            self.bench.undo()


@pytest.fixture(scope="module")
def scarce(cluster):
    """The house, opened once; every walk is rolled back."""
    name = f"{cluster.prefix}_intake_walk"
    url = cluster.clone(name)
    yield url, open_scarce(url)
    cluster.drop(name)


@pytest.mark.timeout(900)  # a walk that fails is made shorter for a few minutes
def test_random_days_of_the_intake_leave_what_a_plain_model_says(scarce):
    url, house = scarce
    walk(lambda bench: IntakeWalk(bench, house), url, walks=25, steps=15)
