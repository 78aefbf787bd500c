"""Who acts: an argument of every command, written beside what the command changed."""

import uuid
from enum import StrEnum

from msgspec import Struct


class ActorKind(StrEnum):
    """What kind of somebody acts."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    STAFF = "staff"
    CARRIER = "carrier"
    CUSTOMS = "customs"
    PAYMENT_PROVIDER = "payment_provider"
    PROGRAM = "program"


class Actor(Struct, frozen=True):
    """A person or program, its role, on whose behalf it acts and in which request."""

    kind: ActorKind
    code: str
    role: str
    on_behalf_of: uuid.UUID | None = None
    request_id: str = ""


RUNNER = Actor(ActorKind.PROGRAM, "runner", "due_work")
"""The runner of due work acts for the platform."""
