"""Every route of the application, asked by every role, by a member of another merchant and by nobody: who may not is refused, and nothing changes.

Routes are taken from the application itself, and each declares its audience with `opt=open_to(...)`, so that a new route is either
in this matrix or the application does not start.
"""

import asyncio
import hashlib
import hmac
import re
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from litestar import Litestar, get
from litestar.testing import TestClient
from tests.factories.shown_house import fill_database, keep_keyring

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings
from entrepot.bootstrap.tables import all_tables
from entrepot.parties.accounts import MERCHANT_ROLES, StaffRole
from entrepot.parties.demo import demo_person_id
from entrepot.parties.model import merchant_id_of
from entrepot.surfaces.web.access import EVERYBODY, HOUSE, MERCHANTS, UndeclaredAccessError, audience_of, check_access, open_to, require_declared

AUDIO = merchant_id_of("demo-shenzhen-audio")
LEEDS = merchant_id_of("demo-leeds-kitchen")
SAMPLES = {
    "store": "GB",
    "account": "psp",
    "name": "entrepot.css",
    "merchant_id": str(AUDIO),
    "list_code": "orders",
    "line_no": "1",
    "event": "sale",
    "fee_no": "1",
}
"""A value for each parameter of an address; ids that are not here are taken from the house or made up."""
NOBODY, STRANGER = "nobody", "member of another merchant"
EVERY_ROLE = (*StaffRole,)
VISITORS = (NOBODY, STRANGER, *map(str, EVERY_ROLE))
APP = create_app(read_settings({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}))


def routes_of(app):
    """Return every (method, path, handler) that the application serves."""
    found = [
        (method, route.path_format, handler)
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in sorted(handler.http_methods)
        if method != "OPTIONS"
    ]
    return sorted(found, key=lambda one: (one[1], one[0]))


ROUTES = routes_of(APP)


@pytest.fixture(scope="module")
def house(cluster):
    name = f"{cluster.prefix}_access"
    url = cluster.clone(name)
    asyncio.run(fill_database(url))
    with psycopg.connect(url) as conn:
        for number, role in enumerate((*EVERY_ROLE, STRANGER)):
            open_account(conn, role, number)
    yield url
    cluster.drop(name)


def open_account(conn, role, number):
    """Open an account of a role with a session whose token is the role's name; the password is nobody's."""
    merchant_id = LEEDS if role == STRANGER else AUDIO if role in MERCHANT_ROLES else None
    person_id = demo_person_id("demo-buyer-gb") if role is StaffRole.BUYER else None
    code = StaffRole.MERCHANT_OWNER if role == STRANGER else role
    staff_id, now = uuid.UUID(int=number + 1), datetime.now(UTC)
    conn.execute(
        "insert into staff (staff_id, login, password_hash, display_name, role_code, merchant_id, person_id, status, created_at)"
        " values (%s, %s, 'x', %s, %s, %s, %s, 'active', %s)",
        (staff_id, f"matrix-{number}", str(role), str(code), merchant_id, person_id, now),
    )
    conn.execute(
        "insert into web_session (token_hash, staff_id, created_at, expires_at) values (%s, %s, %s, %s)",
        (hashlib.sha256(str(role).encode()).digest(), staff_id, now, now + timedelta(hours=1)),
    )


@pytest.fixture(scope="module")
def client(house, tmp_path_factory):
    data = keep_keyring(tmp_path_factory.mktemp("data"))
    with TestClient(create_app(read_settings({"DATABASE_URL": house, "ENTREPOT_DATA": str(data), "ENTREPOT_POOL_SIZE": "4"}))) as client:
        yield client


def fingerprint(url):
    """Return count and content of every table."""
    parts = " union all ".join(
        f"select '{name}', count(*), coalesce(sum(hashtext(t::text)::bigint), 0) from {name} t" for name in sorted(all_tables().tables)
    )
    with psycopg.connect(url) as conn:
        return {row[0]: row[1:] for row in conn.execute(parts)}


def address_of(path):
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: SAMPLES.get(found[1], str(uuid.UUID(int=7))), path)


def ask(client, method, path, visitor, *, token):
    """Send a request as a visitor, as a program would ask, so that a refusal tells its code."""
    secret = "visit" if visitor == NOBODY else visitor
    client.cookies.clear()
    client.cookies.set("entrepot_visit" if visitor == NOBODY else "entrepot_session", secret)
    sent = {"form_token": hmac.new(secret.encode(), b"form", "sha256").hexdigest() if token else "0" * 64}
    body = {"data": sent} if method != "GET" else {}
    return client.request(method, address_of(path), headers={"accept": "application/json"}, follow_redirects=False, **body)


def role_of(visitor):
    return None if visitor == NOBODY else StaffRole.MERCHANT_OWNER if visitor == STRANGER else StaffRole(visitor)


def expected(path, audience, visitor):
    """Return the code of the refusal that a visitor must get, or nothing for one who may come in."""
    role = role_of(visitor)
    if role not in audience:
        return "sign_in_required" if role is None else "page_forbidden"
    return "not_yours" if visitor == STRANGER and "{merchant_id" in path else ""


def told(answer):
    return answer.json().get("code", "") if "problem+json" in answer.headers.get("content-type", "") else ""


@pytest.mark.parametrize(("method", "path", "handler"), ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
def test_every_role_gets_what_the_route_declares_and_a_refusal_changes_nothing(client, house, method, path, handler):
    audience = audience_of(handler)
    before = fingerprint(house)
    refused = {visitor: expected(path, audience, visitor) for visitor in VISITORS}
    answers = {visitor: told(ask(client, method, path, visitor, token=True)) for visitor, code in refused.items() if code}
    assert answers == {visitor: code for visitor, code in refused.items() if code}
    admitted = [visitor for visitor, code in refused.items() if not code and not handler.opt.get("streams")]
    # a form without its token is the proof that the door was passed, and changes nothing either
    outcomes = {visitor: ask(client, method, path, visitor, token=False) for visitor in admitted}
    assert {visitor: told(one) for visitor, one in outcomes.items() if told(one) in {"sign_in_required", "page_forbidden", "not_yours"}} == {}
    if method == "POST":
        assert {told(one) for one in outcomes.values()} <= {"form_expired"}
    assert {visitor: one.status_code for visitor, one in outcomes.items() if one.status_code >= 500} == {}
    assert fingerprint(house) == before


def test_the_matrix_knows_the_routes_that_matter():
    assert {"/orders", "/operator", "/stock", "/postings", "/checkout", "/sign-in", "/preferences", "/me", "/health"} <= {
        path for _, path, _ in ROUTES
    }
    assert {"GET", "POST"} == {method for method, _, _ in ROUTES}


def test_a_route_without_a_declared_audience_does_not_start():
    @get("/forgotten-door")
    async def show() -> None:
        """Show nothing."""

    with pytest.raises(UndeclaredAccessError):
        require_declared(Litestar([show], openapi_config=None))


def test_a_route_of_its_own_is_guarded_by_its_declaration():
    @get("/desk", opt=open_to(MERCHANTS, HOUSE))
    async def show() -> None:
        """Show nothing."""

    app = require_declared(Litestar([show], guards=[check_access], openapi_config=None))
    (found,) = [handler for _, path, handler in routes_of(app) if path == "/desk"]
    assert audience_of(found) == MERCHANTS | HOUSE
    assert audience_of(found) < EVERYBODY


def test_expectations_can_fail():
    assert expected("/a", HOUSE, NOBODY) == "sign_in_required"
    assert expected("/a", HOUSE, "buyer") == "page_forbidden"
    assert expected("/a/{merchant_id:uuid}", HOUSE | MERCHANTS, STRANGER) == "not_yours"
    assert expected("/a/{merchant_id:uuid}", HOUSE | MERCHANTS, "merchant_owner") == ""
