"""Who a program acts as: bearer tokens, believed for some seconds once they were good."""

import uuid
from collections.abc import Mapping
from typing import Final

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.errors import ForbiddenError
from entrepot.base.time import RealClock, monotonic_s
from entrepot.parties.accounts import StaffMember, StaffRole
from entrepot.parties.tokens import read_token
from entrepot.surfaces.web.house import House

_FRESH_S: Final = 10
_KEPT: Final = 10_000


class TokenMissingError(ForbiddenError):
    """Programs identify themselves with `Authorization: Bearer` and a token that is neither ended nor expired."""

    status = 401


class OrderingForbiddenError(ForbiddenError):
    """This token's role places no orders; use a buyer's or a storefront's."""


class ForeignBuyerError(ForbiddenError):
    """A buyer's token orders for that buyer only."""


class Tokens:
    """The tokens of one process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._known: dict[str, tuple[float, StaffMember]] = {}

    async def member(self, headers: Mapping[bytes, bytes]) -> StaffMember:
        """Return who asks; raise when nobody does."""
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        is_bearer = scheme.lower() == "bearer"
        known = self._known.get(token) if is_bearer else None
        if known is not None and monotonic_s() < known[0]:
            return known[1]
        member = None
        if is_bearer and token.isascii() and token.isprintable():
            async with self._house.database.reading() as conn:
                member = await read_token(conn, token, RealClock().now())
        if member is None:
            self._known.pop(token, None)
            raise TokenMissingError("Authorization", scheme[:20] or None, "Send `Authorization: Bearer TOKEN`; `entrepot token LOGIN` issues one.")
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[token] = (monotonic_s() + _FRESH_S, member)
        return member


def buyer_of(member: StaffMember, named: uuid.UUID | None) -> uuid.UUID:
    """Return the buyer that a request is for: a storefront names one, a buyer's token is its own."""
    if member.role is StaffRole.STOREFRONT and named is not None:
        return named
    if member.role is StaffRole.STOREFRONT:
        raise ForeignBuyerError("buyer_id", None, "A storefront names the buyer that it orders for.")
    if member.role is not StaffRole.BUYER or member.person_id is None:
        raise OrderingForbiddenError("role", str(member.role), "Ask the operator for a token of a buyer or a storefront.")
    if named not in {None, member.person_id}:
        raise ForeignBuyerError("buyer_id", str(named), "Leave it out, or name the token's own buyer.")
    return member.person_id


def actor_of(member: StaffMember, person_id: uuid.UUID) -> Actor:
    """Return a token's account as the actor of a command."""
    kind = ActorKind.BUYER if member.role is StaffRole.BUYER else ActorKind.PROGRAM
    return Actor(kind, member.login, str(member.role), person_id)
