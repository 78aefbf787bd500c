"""The money book against a model of dictionaries: random postings, posted, waiting, decided and honoured again, with replays and twins."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from tests.factories.walks import walk

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch
from entrepot.books.money.model import Decision, Entry, MoneyPosting, Phase, UnbalancedPostingError, require_balance
from entrepot.books.money.post import post_entries, post_lapsed, post_pending, void_pending
from entrepot.books.money.read import prove_money, read_account_balances, read_balances
from entrepot.books.money.replay import replay_entries

AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
MERCHANTS = [derived_id("merchant", name) for name in ("walk", "other")]
ACCOUNTS = ["psp", "rsv", "tax.DE", "fee.referral"]
CURRENCIES = ["EUR", "GBP"]
DECIDE = {Phase.POST: post_pending, Phase.VOID: void_pending}

amounts = st.integers(-999, 999)
legs = st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.sampled_from(CURRENCIES), amounts)
some = st.integers(0, 60)
places = st.lists(st.tuples(some, st.sampled_from([False, False, True])), max_size=4)
drafts = st.tuples(st.integers(0, 1), st.sampled_from([Phase.POSTED, Phase.PENDING, Phase.PENDING]), st.lists(legs, max_size=3))


class MoneyModel:
    """What the book should hold: postings by (merchant, id), what became of those that wait, and the sums of each account."""

    def __init__(self):
        self.postings = {}
        self.decided = {}
        self.posted = Counter()
        self.pending = Counter()

    def post(self, postings):
        """Return (merchant, id) of what is new; the first of several with one id counts."""
        new = set()
        for posting in postings:
            key = (posting.merchant_id, posting.posting_id)
            if key not in self.postings and posting.entries:
                new.add(key)
                self.postings[key] = posting
                self.add(self.pending if posting.phase is Phase.PENDING else self.posted, key, 1)
        return new

    def add(self, sums, key, sign):
        for entry in self.postings[key].entries:
            sums[key[0], entry.account_code, entry.currency] += sign * entry.amount_minor

    def decide(self, decisions, phase):
        """Return the ids of decisions that counted: of a posting that waits, once."""
        new = set()
        for one in decisions:
            key = (one.merchant_id, one.pending_id)
            if key in self.waiting() and (one.merchant_id, one.posting_id) not in self.postings:
                self.decided[key] = phase
                self.postings[one.merchant_id, one.posting_id] = replace(self.postings[key], phase=phase)
                new.add(one.posting_id)
                self.add(self.pending, key, -1)
                if phase is Phase.POST:
                    self.add(self.posted, key, 1)
        return new

    def post_lapsed(self, decisions):
        """Return the ids of postings that were made again of ones that lapsed."""
        new = set()
        for one in decisions:
            key = (one.merchant_id, one.pending_id)
            if self.decided.get(key) is Phase.VOID and (one.merchant_id, one.posting_id) not in self.postings:
                self.postings[one.merchant_id, one.posting_id] = replace(self.postings[key], phase=Phase.POSTED)
                new.add(one.posting_id)
                self.add(self.posted, key, 1)
        return new

    def waiting(self):
        return [key for key, one in self.postings.items() if one.phase is Phase.PENDING and key not in self.decided]

    def pending_ever(self):
        return [key for key, one in self.postings.items() if one.phase is Phase.PENDING]


class MoneyWalk(RuleBasedStateMachine):
    """Random batches against the book and the model alike."""

    def __init__(self, bench):
        super().__init__()
        self.bench = bench
        self.bench.start()
        self.model = MoneyModel()
        self.history = []
        self.names = 0

    def teardown(self):
        self.bench.undo()

    def name(self, kind):
        self.names += 1
        return derived_id(kind, self.names)

    def posting(self, merchant, phase, made):
        entries = [Entry(account, currency, sign * minor) for first, second, currency, minor in made for account, sign in ((first, 1), (second, -1))]
        return MoneyPosting(MERCHANTS[merchant], self.name("posting"), AT, "walk", "order", self.name("cause"), entries, phase)

    def mixed(self, made, twins):
        """Mix in what stands or comes twice: the same again, with other values under its id, or under its id in the other merchant's book."""
        batch = list(made)
        for place, kind in twins:
            known = self.history + batch
            one = known[place % len(known)]
            other = [merchant_id for merchant_id in MERCHANTS if merchant_id != one.merchant_id]
            twin = (one, replace(one, entries=[*one.entries, Entry("psp", "EUR", 0)]), replace(one, merchant_id=other[0]))[kind]
            batch.insert(place % (len(batch) + 1), twin)
        return batch

    @rule(made=st.lists(drafts, min_size=1, max_size=5), twins=st.lists(st.tuples(some, st.integers(0, 2)), max_size=3))
    def post(self, made, twins):
        postings = [self.posting(*one) for one in made]
        batch = self.mixed(postings, twins)
        answer = self.bench.run(post_entries(self.bench.conn, batch))
        assert answer == {key[1] for key in self.model.post(batch)}
        self.history += postings

    @rule(made=st.lists(drafts, min_size=1, max_size=3), place=some, minor=st.integers(1, 9), crosswise=st.booleans())
    def post_unbalanced(self, made, place, minor, crosswise):
        """One posting that does not balance in each currency refuses its batch, and nothing of it is written."""
        batch = [self.posting(*one) for one in made]
        rest = [Entry("rsv", CURRENCIES[1], -minor)] if crosswise else []
        wrong = self.posting(place % 2, Phase.POSTED, [])
        batch.insert(place % (len(batch) + 1), replace(wrong, entries=[Entry("psp", CURRENCIES[0], minor), *rest]))
        try:
            self.bench.run(post_entries(self.bench.conn, batch))
        except UnbalancedPostingError:
            return
        message = "an unbalanced posting was taken"
        raise AssertionError(message)

    @initialize(minors=st.lists(amounts, min_size=3, max_size=6))
    def begin(self, minors):
        batch = [self.posting(place % 2, Phase.PENDING, [("psp", "rsv", "EUR", minor)]) for place, minor in enumerate(minors)]
        assert self.bench.run(post_entries(self.bench.conn, batch)) == {key[1] for key in self.model.post(batch)}
        self.history += batch

    @rule(post=places, void=places, twice=st.booleans())
    def decide(self, post, void, twice):
        """Post or void what waits, among it what was decided before, and of a merchant who has no such posting."""
        for phase, chosen in ((Phase.POST, post), (Phase.VOID, void)):
            batch = self.decisions(chosen, f"{phase}")
            batch += batch[:1] if twice else []
            answer = self.bench.run(DECIDE[phase](self.bench.conn, batch))
            assert answer == self.model.decide(batch, phase)

    @precondition(lambda self: Phase.VOID in self.model.decided.values())
    @rule(places=places, twice=st.booleans())
    def honour(self, places, twice):
        """Post again what lapsed; what still waits or was posted is no such thing."""
        batch = self.decisions(places, "honour")
        batch += batch[:1] if twice else []
        answer = self.bench.run(post_lapsed(self.bench.conn, batch))
        assert answer == self.model.post_lapsed(batch)

    def decisions(self, places, how):
        pending = self.model.pending_ever()
        made = []
        for place, of_other in places:
            merchant_id, pending_id = pending[place % len(pending)]
            asker = next(one for one in MERCHANTS if (one != merchant_id) is of_other)
            made.append(Decision(asker, pending_id, derived_id(how, pending_id, place // len(pending)), AT))
        return made

    @invariant()
    def balances_agree(self):
        found = [one for merchant_id in MERCHANTS for one in self.bench.run(read_balances(self.bench.conn, merchant_id))]
        posted = {(one.merchant_id, one.account_code, one.currency): one.posted_minor for one in found}
        pending = {(one.merchant_id, one.account_code, one.currency): one.pending_minor for one in found}
        assert {key: minor for key, minor in posted.items() if minor} == {key: minor for key, minor in self.model.posted.items() if minor}
        assert {key: minor for key, minor in pending.items() if minor} == {key: minor for key, minor in self.model.pending.items() if minor}
        psp = self.bench.run(read_account_balances(self.bench.conn, "psp"))
        assert psp == sorted((one for one in found if one.account_code == "psp"), key=lambda one: (one.merchant_id, one.currency))

    @invariant()
    def postings_agree(self):
        rows = self.bench.run(fetch(self.bench.conn, "select merchant_id, posting_id, phase, pending_id from money_posting"))
        assert {row[:2]: row[2] for row in rows} == {key: str(one.phase) for key, one in self.model.postings.items()}
        decided = {(row[0], row[3]): row[2] for row in rows if row[3] is not None}
        assert decided == {key: str(phase) for key, phase in self.model.decided.items()}
        for posting in self.model.postings.values():
            require_balance(posting)

    @invariant()
    def laws_hold(self):
        for prove in (prove_money, replay_entries):
            assert self.bench.run(prove(self.bench.conn))[1] == []


@pytest.mark.timeout(900)  # a walk that fails is made shorter for a few minutes
def test_random_postings_leave_what_a_plain_model_says(worker_database):
    walk(MoneyWalk, worker_database, walks=30, steps=20)
