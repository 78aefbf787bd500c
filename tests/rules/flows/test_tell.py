"""When a notice is tried again, what it says, and what a mail says."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from entrepot.adapters.webhooks import EVENT_HEADER, REPLAY_HEADER, SIGNATURE_HEADER, PostAnswer, verify_signature
from entrepot.base.ids import derived_id
from entrepot.base.money import Money
from entrepot.base.notices import Notice, NoticeOutcome, Subscription, SubscriptionKind
from entrepot.flows.mail_texts import MailFacts, render_mail
from entrepot.flows.tell import BACK_OFF, MAIN_FACTS, TOLD_FACTS, compose_posts, event_id_of, judge, next_attempt_at, parse_event_id, rest_until
from entrepot.flows.tell_buyers import MAILED_FACTS
from entrepot.parties.sealing import Keyring, seal_secret
from entrepot.surfaces.web.voices import choose_voice

AT = datetime(2026, 5, 4, 9, 30, 0, 123_457, tzinfo=UTC)
KEYRING = Keyring(b"k" * 32, b"identities")
ORDER = derived_id("order", 1)
WEBHOOK_ID = derived_id("webhook", 1)
WEBHOOK = Subscription(
    derived_id("merchant", 1), WEBHOOK_ID, SubscriptionKind.WEBHOOK, MAIN_FACTS, AT, "https://a.example/", seal_secret(KEYRING, WEBHOOK_ID, "secret")
)


def notice(attempt_no=1, replay_no=0):
    return Notice(WEBHOOK.merchant_id, WEBHOOK_ID, ORDER, AT, "order_placed", attempt_no, replay_no, {"number": "E1"})


@pytest.mark.parametrize(
    ("attempt_no", "after"),
    [
        (1, timedelta(seconds=10)),
        (2, timedelta(minutes=1)),
        (3, timedelta(minutes=5)),
        (4, timedelta(minutes=30)),
        (5, timedelta(hours=2)),
        (6, timedelta(hours=6)),
        (7, timedelta(hours=6)),
        (8, timedelta(hours=9)),
        (9, None),
        (10, None),
    ],
)
def test_back_off(attempt_no, after):
    assert next_attempt_at(attempt_no, AT) == (None if after is None else AT + after)


def test_the_last_attempt_comes_about_a_day_after_the_first():
    assert timedelta(hours=23) < sum(BACK_OFF, timedelta()) < timedelta(hours=25)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 60), (3, 300), (4, 300), (99, 300)])
def test_a_silent_receiver_rests_five_minutes_at_most(failures, seconds):
    assert rest_until(failures, AT) == AT + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("attempt_no", "answer", "outcome", "is_tried_again"),
    [
        (1, PostAnswer(200, None), NoticeOutcome.DELIVERED, False),
        (9, PostAnswer(204, None), NoticeOutcome.DELIVERED, False),
        (1, PostAnswer(500, "answered 500"), None, True),
        (8, PostAnswer(None, "no answer"), None, True),
        (9, PostAnswer(None, "no answer"), NoticeOutcome.GIVEN_UP, False),
    ],
)
def test_answers(attempt_no, answer, outcome, is_tried_again):
    result = judge(notice(attempt_no), answer, AT)
    assert (result.outcome, result.next_attempt_at is not None, result.status) == (outcome, is_tried_again, answer.status)


def test_the_event_id_is_the_same_at_every_attempt_and_can_be_read_back():
    assert event_id_of(notice(1)) == event_id_of(notice(5, 2))
    assert parse_event_id(event_id_of(notice())) == (ORDER, "order_placed", AT)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", f"{ORDER}.order_placed", f"{ORDER}.order_placed.x", f"{ORDER}.order_placed.{10**30}", "a.b.c.d"])
def test_other_texts_are_no_event_ids(text):
    assert parse_event_id(text) is None


def test_what_a_webhook_receives():
    first, again = compose_posts(KEYRING, WEBHOOK, [notice(), notice(3, 2)], AT)
    assert first.url == "https://a.example/"
    assert json.loads(first.body) == {
        "event_id": event_id_of(notice()),
        "type": "order_placed",
        "at": "2026-05-04T09:30:00.123457Z",
        "merchant_id": str(WEBHOOK.merchant_id),
        "order_id": str(ORDER),
        "data": {"number": "E1"},
    }
    assert first.headers[EVENT_HEADER] == "order_placed"
    assert verify_signature("secret", first.headers[SIGNATURE_HEADER], first.body, AT)
    assert (REPLAY_HEADER in first.headers, again.headers[REPLAY_HEADER]) == (False, "2")
    assert again.body == first.body


def test_a_sealed_secret_opens_for_its_webhook_only():
    other = Subscription(WEBHOOK.merchant_id, derived_id("webhook", 2), SubscriptionKind.WEBHOOK, (), AT, "https://a.example/", WEBHOOK.sealed_secret)
    with pytest.raises(Exception, match="master_key_unusable"):
        compose_posts(KEYRING, other, [notice()], AT)


def test_the_main_facts_may_be_told():
    assert set(MAIN_FACTS) <= set(TOLD_FACTS)
    assert len(set(TOLD_FACTS)) == len(TOLD_FACTS)


@pytest.mark.parametrize("fact_code", MAILED_FACTS)
@pytest.mark.parametrize(
    ("tag", "greeting", "ending", "amount"),
    [
        ("en", "Dear Ann %(number)s,", "Your order: E-1", "£12.05"),
        ("de", "Guten Tag Ann %(number)s,", "Ihre Bestellung: E-1", "12,05\xa0£"),
        ("zh-Hans", "\u60a8\u597d\uff0cAnn %(number)s\uff1a", "\u60a8\u7684\u8ba2\u5355\uff1aE-1", "£12.05"),
    ],
)
def test_every_mailed_fact_has_a_text_with_the_orders_number(fact_code, tag, greeting, ending, amount):
    text = render_mail(MailFacts(fact_code, "Ann %(number)s", "E-1", Money(1205, "GBP"), "Carrier", "TRACK1"), choose_voice([tag]))
    assert "E-1" in text.subject
    assert text.body.startswith(f"{greeting}\n\n")
    assert text.body.endswith(f"\n\n{ending}\n")
    assert ("TRACK1" in text.body) == fact_code.startswith("parcel_")
    assert (amount in text.body) == (fact_code in {"order_placed", "money_returned"})


def test_a_mail_shows_a_currency_without_decimals_and_a_parcel_without_number():
    english = choose_voice([])
    assert "¥1,205" in render_mail(MailFacts("order_placed", "Ann", "E-1", Money(1205, "JPY")), english).body
    assert "Tracking" not in render_mail(MailFacts("parcel_shipped", "Ann", "E-1", Money(1205, "JPY")), english).body
