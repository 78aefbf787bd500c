"""Accounts as their owners protect them: second factor, new passwords, forgotten passwords, sessions, and what every answer's headers say."""

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from litestar.testing import TestClient
from pyotp.totp import TOTP
from structlog.testing import capture_logs
from tests.factories.opened import filled
from tests.factories.shown_house import fill_database, keep_keyring

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings
from entrepot.parties.account_safety import PasswordTooEasyError, require_password

TOKEN = re.compile(r'name="form_token" value="(\w+)"')
SECRET = re.compile(r'class="secret">(\w+)<')
CODES = re.compile(r"<li><code>(\w{10})</code></li>")
LINK = re.compile(r"/new-password\?link=([\w-]+)")
GOOD = "correct horse battery staple"


@pytest.fixture(scope="module")
def house(cluster):
    with filled(cluster, "safety", fill_database) as url:
        yield url


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return keep_keyring(tmp_path_factory.mktemp("data"))


def app_for(house, data, **more):
    settings = {"DATABASE_URL": house, "ENTREPOT_DATA": str(data), "ENTREPOT_POOL_SIZE": "4", "ENTREPOT_PUBLIC_URL": "https://shop.example"}
    return create_app(read_settings(settings | more))


@pytest.fixture(scope="module")
def app(house, data):
    return app_for(house, data)


@pytest.fixture
def client(app):
    with TestClient(app) as client:
        yield client


@pytest.fixture(autouse=True)
def fresh_start(house):
    """Forget what a test before this one left behind: attempts, factors, links and changed passwords."""
    with psycopg.connect(house) as conn:
        kept = conn.execute("select login, password_hash from staff").fetchall()
    yield
    with psycopg.connect(house) as conn:
        for table in ("login_attempt", "recovery_code", "second_factor", "password_reset", "web_session"):
            conn.execute(f"delete from {table}")
        for login, password_hash in kept:
            conn.execute("update staff set password_hash = %s, language_code = null, mail_address = null where login = %s", (password_hash, login))


def send(client, path, page, **fields):
    token = TOKEN.search(client.get(page).text)[1]
    return client.post(path, data={"form_token": token, **fields}, follow_redirects=False)


def sign_in(client, login="operator", password="demo", then="/me"):
    return send(client, "/sign-in", "/sign-in", login=login, password=password, next=then)


def enrol(client):
    """Put a second factor in force; return its secret and recovery codes."""
    send(client, "/me/second-factor", "/me")
    secret = SECRET.search(client.get("/me").text)[1]
    answer = send(client, "/me/second-factor/confirm", "/me", code=TOTP(secret).at(int(datetime.now(UTC).timestamp()) - 30))
    return secret, CODES.findall(answer.text)


@contextmanager
def another_browser(client):
    """Be somebody else's browser for a while."""
    kept = dict(client.cookies)
    client.cookies.clear()
    yield client
    client.cookies.clear()
    client.cookies.update(kept)


def count(url, query):
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchone()[0]


def test_a_second_factor_counts_only_after_a_code_proved_it(client, house):
    sign_in(client)
    send(client, "/me/second-factor", "/me")
    page = client.get("/me").text
    assert "otpauth" not in page
    drawn = re.search(r'<svg class="square-code" role="img" aria-label="Second factor" viewBox="0 0 (\d+) \1" width="\1" height="\1"', page)
    assert drawn, "a code without a box of its own stays as small as it was drawn, too small for a camera"
    assert f'width="{drawn[1]}" height="{drawn[1]}" fill="#FFFFFF"' in page
    wrong = send(client, "/me/second-factor/confirm", "/me", code="000000")
    assert (wrong.status_code, "That code is not right" in wrong.text) == (422, True)
    assert count(house, "select count(*) from second_factor where confirmed_at is not null") == 0
    with another_browser(client) as other:
        assert sign_in(other).headers["location"] == "/me"


def test_with_a_second_factor_the_password_alone_opens_nothing(client):
    sign_in(client)
    secret, codes = enrol(client)
    assert len(set(codes)) == 10
    with another_browser(client) as other:
        answer = sign_in(other)
        assert answer.headers["location"] == "/sign-in/code?next=%2Fme"
        assert other.get("/me", follow_redirects=False).status_code == 303
        waiting = other.cookies["entrepot_session"]
        assert send(other, "/sign-in/code", "/sign-in/code", code="000000", next="/me").status_code == 401
        right = send(other, "/sign-in/code", "/sign-in/code", code=TOTP(secret).now(), next="/me")
        assert (right.status_code, right.headers["location"]) == (303, "/me")
        assert other.cookies["entrepot_session"] != waiting
        assert other.get("/me").status_code == 200
        other.cookies.set("entrepot_session", waiting)
        assert other.get("/me", follow_redirects=False).status_code == 303


def test_a_code_and_a_recovery_code_count_once(client, house):
    sign_in(client)
    secret, codes = enrol(client)
    code = TOTP(secret).now()
    for given, status in ((code, 303), (code, 401), (codes[0], 303), (codes[0], 401), (codes[1].upper(), 303)):
        with another_browser(client) as other:
            sign_in(other)
            assert (given, send(other, "/sign-in/code", "/sign-in/code", code=given).status_code) == (given, status)
    assert count(house, "select count(*) from recovery_code where used_at is null") == 8
    assert "8 recovery codes are left." in client.get("/me").text


def test_guessing_codes_is_stopped_even_with_the_right_password(client):
    sign_in(client)
    secret, _ = enrol(client)
    statuses = []
    for _ in range(3):
        with another_browser(client) as other:
            sign_in(other)
            statuses += [send(other, "/sign-in/code", "/sign-in/code", code="111111").status_code for _ in range(2)]
    assert statuses == [401] * 5 + [429]
    with another_browser(client) as other:
        assert sign_in(other).status_code == 429
    assert secret


def test_giving_the_factor_up_asks_for_the_password(client, house):
    sign_in(client)
    enrol(client)
    refused = send(client, "/me/second-factor/drop", "/me", proof="guess")
    assert (refused.status_code, "That is not your present password." in refused.text) == (422, True)
    assert count(house, "select count(*) from second_factor") == 1
    assert send(client, "/me/second-factor/drop", "/me", proof="demo").status_code == 303
    assert count(house, "select count(*) from second_factor") + count(house, "select count(*) from recovery_code") == 0


@pytest.mark.parametrize(
    ("present", "fresh", "told"),
    [
        ("guess", GOOD, "That is not your present password."),
        ("demo", "short", "at least twelve characters"),
        ("demo", "operator-operator", "The password holds the login"),
        ("demo", "aaaaaaaaaaaaaaaa", "repeats few characters"),
        ("demo", "x" * 129, "at most 128"),
        ("", "", "This field is required."),
    ],
)
def test_a_password_that_is_not_good_enough_changes_nothing(client, house, present, fresh, told):
    sign_in(client)
    before = count(house, "select string_agg(password_hash, ',' order by login) from staff")
    answer = send(client, "/me/password", "/me", password=present, fresh=fresh)
    assert (answer.status_code, told in answer.text) == (422, True)
    assert count(house, "select string_agg(password_hash, ',' order by login) from staff") == before
    assert client.get("/me").status_code == 200


def test_a_new_password_ends_every_session(client):
    sign_in(client)
    with another_browser(client) as other:
        sign_in(other)
        assert send(client, "/me/password", "/me", password="demo", fresh=GOOD).headers["location"] == "/sign-in"
        assert [one.get("/me", follow_redirects=False).status_code for one in (client, other)] == [303, 303]
    assert sign_in(client).status_code == 401
    assert sign_in(client, password=GOOD).status_code == 303


def test_what_was_changed_in_an_account_is_told_to_its_address(client, data, house):
    with psycopg.connect(house) as conn:
        conn.execute("update staff set mail_address = 'owner@example.org', language_code = 'de' where login = 'operator'")
    sign_in(client)
    enrol(client)
    send(client, "/me/second-factor/drop", "/me", proof="wrong")
    send(client, "/me/second-factor/drop", "/me", proof="demo")
    send(client, "/me/password", "/me", password="demo", fresh=GOOD)
    mails = [json.loads(path.read_text()) for path in data.rglob("*.json") if "account_changed" in path.read_text()]
    told = sorted(mail["subject"] for mail in mails if mail["recipient_address"] == "owner@example.org")
    assert told == [
        "Das Kennwort Ihres Kontos wurde geändert.",
        "Ihr Konto fragt jetzt nach einem zweiten Faktor.",
        "Ihr Konto fragt nicht mehr nach einem zweiten Faktor.",
    ]
    assert all("https://shop.example/forgotten" in mail["body"] for mail in mails)


def test_a_forgotten_password_is_set_by_a_link_that_works_once(client, data, house):
    answer = send(client, "/forgotten", "/forgotten", login="Buyer-GB")
    assert "a link is on its way" in answer.text
    (mail,) = [json.loads(path.read_text()) for path in data.rglob("*.json") if "password_reset" in path.read_text()]
    assert mail["body"].count("https://shop.example/new-password?link=") == 1
    link = LINK.search(mail["body"])[1]
    page = f"/new-password?link={link}"
    assert send(client, "/new-password", page, link=link, fresh="short").status_code == 422
    assert send(client, "/new-password", page, link=link, fresh=GOOD).headers["location"] == "/sign-in"
    assert client.get(page).status_code == 422
    token = TOKEN.search(client.get("/sign-in").text)[1]
    assert client.post("/new-password", data={"form_token": token, "link": link, "fresh": GOOD + "!"}).status_code == 422
    assert sign_in(client, "buyer-gb", GOOD).status_code == 303
    assert link not in count(house, "select string_agg(encode(token_hash, 'escape'), ',') from password_reset")


def test_the_answer_does_not_tell_which_accounts_exist_and_links_are_few(client, house):
    pages = [
        re.sub(r'value="[^"]*"', "", send(client, "/forgotten", "/forgotten", login=login).text) for login in ("buyer-gb", "nobody-here", "operator")
    ]
    assert len(set(pages)) == 1
    for _ in range(4):
        send(client, "/forgotten", "/forgotten", login="buyer-gb")
    assert count(house, "select count(*) from password_reset r join staff s using (staff_id) where s.login = 'buyer-gb'") == 3


def test_a_link_dies_after_half_an_hour(client, data, house):
    send(client, "/forgotten", "/forgotten", login="buyer-gb")
    mails = sorted((path for path in data.rglob("*.json") if "password_reset" in path.read_text()), key=lambda path: path.stat().st_mtime)
    link = LINK.search(json.loads(mails[-1].read_text())["body"])[1]
    assert client.get(f"/new-password?link={link}").status_code == 200
    with psycopg.connect(house) as conn:
        conn.execute("update password_reset set expires_at = expires_at - interval '31 minutes'")
    assert client.get(f"/new-password?link={link}").status_code == 422


def test_signing_in_gives_a_fresh_session_and_ends_the_one_before(client):
    sign_in(client)
    first = client.cookies["entrepot_session"]
    sign_in(client, "merchant")
    assert client.cookies["entrepot_session"] != first
    with another_browser(client) as other:
        other.cookies.set("entrepot_session", first)
        assert other.get("/me", follow_redirects=False).status_code == 303


def test_a_session_ends_after_twelve_hours(client, house):
    sign_in(client)
    with psycopg.connect(house) as conn:
        conn.execute("update web_session set expires_at = expires_at - interval '12 hours'")
    assert client.get("/me", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("obliged", [{"ENTREPOT_WORLD": "off"}, {"ENTREPOT_SECOND_FACTOR": "house"}])
def test_the_houses_own_roles_must_have_a_second_factor_where_it_is_asked_for(house, data, obliged):
    with TestClient(app_for(house, data, **obliged)) as client:
        assert sign_in(client, then="/operator").headers["location"] == "/operator"
        for path in ("/operator", "/orders", "/merchant"):
            sent = client.get(path, headers={"accept": "text/html"}, follow_redirects=False)
            assert (sent.status_code, sent.headers["location"]) == (303, "/me#factor")
        assert client.get("/orders", headers={"accept": "application/json"}, follow_redirects=False).status_code == 403
        assert "Your role needs a second factor" in client.get("/me").text
        enrol(client)
        assert client.get("/operator").status_code == 200
        assert "Your role needs a second factor" not in client.get("/me").text
    with TestClient(app_for(house, data, **obliged)) as client:
        sign_in(client, login="buyer-gb")
        assert client.get("/orders", follow_redirects=False).status_code == 200
    with TestClient(app_for(house, data, ENTREPOT_WORLD="off", ENTREPOT_SECOND_FACTOR="free")) as client:
        sign_in(client, login="finance")
        assert client.get("/operator", follow_redirects=False).status_code == 200


def test_every_decision_on_who_may_come_in_is_logged_without_what_was_typed(client):
    with capture_logs() as logs:
        sign_in(client, password="a wrong password")
        sign_in(client, login="my secret password", password="x")
        sign_in(client)
        client.get("/merchant")
        client.post("/sign-out", data={"form_token": TOKEN.search(client.get("/me").text)[1]})
    told = [(one["event"], one.get("outcome") or one.get("path") or "", one["login"]) for one in logs]
    login = "operator"
    assert told == [
        ("sign_in", "wrong_credentials", login),
        ("sign_in", "wrong_credentials", "18 characters"),
        ("sign_in", "signed_in", login),
        ("access_refused", "/merchant", login),
        ("signed_out", "", login),
    ]
    assert all(one["origin"] for one in logs)
    assert "wrong password" not in str(logs)


@pytest.mark.parametrize("password", ["password1234", "qwertyuiop12", "iloveyou1234", "123456789012"])
def test_passwords_that_guessers_try_first_are_refused(password):
    with pytest.raises(PasswordTooEasyError):
        require_password(password, "olga")


def test_a_session_that_is_used_is_noted_and_one_that_is_not_is_over(client, house):
    sign_in(client)
    for minutes, status in ((29, 200), (29, 200), (31, 303)):
        with psycopg.connect(house) as conn:
            conn.execute(
                f"""update web_session set created_at = created_at - interval '{minutes} minutes',
                        seen_at = seen_at - interval '{minutes} minutes'"""
            )
        assert client.get("/me", follow_redirects=False).status_code == status


def test_cookies_are_for_tls_only_where_there_is_tls(app):
    with TestClient(app, base_url="https://shop.example") as client:
        cookies = [sign_in(client).headers["set-cookie"], client.get("/sign-in").headers.get("set-cookie", "")]
        assert all(flag in cookies[0] for flag in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"))
        assert client.get("/store").headers["strict-transport-security"].startswith("max-age=31536000")
    with TestClient(app) as client:
        assert "Secure" not in sign_in(client).headers["set-cookie"]
        assert "strict-transport-security" not in client.get("/store").headers


@pytest.mark.parametrize("path", ["/sign-in", "/store", "/static/entrepot.css", "/health", "/nowhere", "/operator", "/design"])
def test_every_answer_carries_the_headers_that_keep_foreign_code_out(client, path):
    headers = client.get(path, follow_redirects=False).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "form-action")} == {"'self'"}
    assert {policy[name] for name in ("frame-ancestors", "base-uri")} == {"'none'"}
    assert "unsafe" not in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["permissions-policy"].startswith("camera=(self)")
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert ("no-store" in headers["cache-control"]) == (not path.startswith("/static/"))


def test_the_language_follows_choice_account_browser_and_store(client):
    assert '<html lang="de"' in client.get("/sign-in", headers={"accept-language": "de-CH"}).text
    assert '<html lang="zh-Hans"' in client.get("/store/CN_GP", headers={"accept-language": "xx"}).text
    assert '<html lang="en"' in client.get("/store/CN_GP", headers={"accept-language": "en"}).text
    answer = send(client, "/preferences", "/sign-in", language="de", theme="dark", next="/store/GB")
    assert answer.headers["location"] == "/store/GB"
    page = client.get("/store/GB", headers={"accept-language": "zh-CN"}).text
    assert '<html lang="de" dir="ltr" data-theme="dark"' in page
    assert "Liefert nach" in page or "Liefern nach" in page
    sign_in(client)
    send(client, "/preferences", "/me", language="zh_Hans", next="https://evil.example")
    client.cookies.delete("entrepot_language")
    assert '<html lang="zh-Hans"' in client.get("/me", headers={"accept-language": "en"}).text
    assert send(client, "/preferences", "/me", language="tlh", theme="pink", next="//evil.example").headers.get_list("set-cookie") == []
