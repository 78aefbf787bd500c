"""Signatures are verified as the documentation says, and webhooks go only where the operator allows."""

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from entrepot.adapters.webhooks import PostAnswer, Reach, WebhookAddressError, is_allowed, require_webhook_url, sign, verify_signature

AT = datetime(2026, 5, 4, 9, 30, 0, 400_000, tzinfo=UTC)
SECONDS = int(AT.timestamp())
BODY = b'{"event_id":"x"}'
HEADER = sign("secret", BODY, AT)


def test_the_signature_is_the_documented_one():
    digest = hmac.new(b"secret", f"{SECONDS}.".encode() + BODY, hashlib.sha256).hexdigest()
    assert f"t={SECONDS},v1={digest}" == HEADER


SIGNATURES = [
    ("secret", HEADER, BODY, 0, True),
    ("secret", HEADER, BODY, 299, True),
    ("secret", HEADER, BODY, -299, True),
    ("secret", HEADER, BODY, 302, False),
    ("secret", HEADER, BODY, -302, False),
    ("other", HEADER, BODY, 0, False),
    ("secret", HEADER, BODY + b" ", 0, False),
    ("secret", HEADER.replace(f"t={SECONDS}", f"t={SECONDS + 1}"), BODY, 0, False),
    ("secret", HEADER + ",v1=00", BODY, 0, True),
    ("secret", f"t={SECONDS}, v1=00, {HEADER.split(',')[1]}", BODY, 0, True),
    ("secret", f"t={SECONDS},v0={HEADER.split('v1=')[1]}", BODY, 0, False),
    ("secret", f"t={SECONDS}", BODY, 0, False),
    ("secret", HEADER + f",t={SECONDS}", BODY, 0, False),
    ("secret", "t=now,v1=00", BODY, 0, False),
    ("secret", "t=٣,v1=00", BODY, 0, False),
    ("secret", "t=²,v1=00", BODY, 0, False),
    ("secret", f"t={'9' * 5000},v1=00", BODY, 0, False),
    ("secret", HEADER[:-1] + "ü", BODY, 0, False),
    ("secret", "", BODY, 0, False),
]


@pytest.fixture(scope="module")
def documented():
    """The function that the documentation gives to receivers, as they would copy it."""
    (code,) = re.findall(r"```python\n(.+?)```", (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(), re.DOTALL)
    module = ModuleType("documented")
    exec(compile(code, "webhooks.md", "exec"), vars(module))  # noqa: S102 -- it is our own page
    return module


@pytest.mark.parametrize(("secret", "header", "body", "late_s", "is_good"), SIGNATURES, ids=range(len(SIGNATURES)))
def test_a_signature_is_good_for_its_secret_body_and_time(secret, header, body, late_s, is_good):
    assert verify_signature(secret, header, body, AT + timedelta(seconds=late_s)) is is_good


@pytest.mark.parametrize(("secret", "header", "body", "late_s", "is_good"), SIGNATURES, ids=range(len(SIGNATURES)))
def test_the_documented_function_decides_alike(documented, monkeypatch, secret, header, body, late_s, is_good):
    monkeypatch.setattr(documented, "time", SimpleNamespace(time=lambda: SECONDS + late_s))
    assert documented.is_ours(secret, header, body) is is_good


def test_the_tolerance_is_the_receivers():
    assert not verify_signature("secret", HEADER, BODY, AT + timedelta(seconds=30), timedelta(seconds=10))


@pytest.mark.parametrize(
    ("address", "public", "loopback", "anywhere"),
    [
        ("93.184.216.34", True, True, True),
        ("2606:2800:220:1::1", True, True, True),
        ("127.0.0.1", False, True, True),
        ("127.9.9.9", False, True, True),
        ("::1", False, True, True),
        ("::ffff:127.0.0.1", False, True, True),
        ("10.1.2.3", False, False, True),
        ("192.168.1.1", False, False, True),
        ("172.16.0.1", False, False, True),
        ("169.254.169.254", False, False, True),
        ("100.64.0.1", False, False, True),
        ("::ffff:10.0.0.1", False, False, True),
        ("64:ff9b::a00:1", False, False, True),
        ("2002:a00:1::", False, False, True),
        ("fd00::1", False, False, True),
        ("fe80::1", False, False, True),
        ("0.0.0.0", False, False, False),  # noqa: S104 - an address that is refused
        ("::", False, False, False),
        ("224.0.0.1", False, False, False),
        ("ff02::1", False, False, False),
    ],
)
def test_addresses(address, public, loopback, anywhere):
    assert [is_allowed(ip_address(address), reach) for reach in (Reach.PUBLIC, Reach.LOOPBACK, Reach.ANY)] == [public, loopback, anywhere]


@pytest.mark.parametrize(
    "url", ["https://shop.example/notices", "http://shop.example:8080/a?b=c", "https://93.184.216.34/", "https://[2606:2800:220:1::1]/"]
)
def test_good_urls_pass(url):
    require_webhook_url(url, Reach.PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "ftp://shop.example",
        "file:///etc/passwd",
        "https://",
        "https://user:password@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:99999/",
        "https://shop.example/ä",
        "https://shop.example/a b",
        "https://shop.example/\r\nX: y",
        "https://[::1/",
        "http://127.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(WebhookAddressError) as refusal:
        require_webhook_url(url, Reach.PUBLIC)
    assert refusal.value.remedy
    assert "password" not in str(refusal.value.value)


def test_only_success_counts_as_taken():
    assert PostAnswer(204, None).is_taken
    assert not PostAnswer(302, "answered 302").is_taken
