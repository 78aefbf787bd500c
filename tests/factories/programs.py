"""Programs that order: a token for each login, and what they send."""

import psycopg

from entrepot.base.time import RealClock
from entrepot.parties.demo import demo_person_id
from entrepot.parties.tokens import NewToken, create_tokens, find_staff_id

LOGINS = ("storefront", "buyer-gb", "buyer-de", "operator")
GB = demo_person_id("demo-buyer-gb")
FAR = RealClock().now().replace(year=2090)


async def issue_tokens(url):
    """Keep a token for each login in the database at this URL: the login itself with `-token`."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        tokens = [NewToken(f"{login}-token", await find_staff_id(conn, login), "test", FAR) for login in LOGINS]
        await create_tokens(conn, tokens, RealClock().now())


def bearer(login="storefront", key=None):
    """Return the headers of a program."""
    return {"authorization": f"Bearer {login}-token", **({} if key is None else {"idempotency-key": key})}


def order_message(offer, quantity=1, **more):
    """Return an order of the British buyer as JSON; a field that is given as None is left out."""
    lines = [{"merchant_id": str(offer.merchant_id), "offer_id": str(offer.offer_id), "quantity": quantity}]
    body = {"marketplace": "GB", "country": "GB", "postcode": "LS1", "payment_method": "card_ok", "lines": lines, "buyer_id": str(GB)}
    return {name: value for name, value in (body | more).items() if value is not None}
