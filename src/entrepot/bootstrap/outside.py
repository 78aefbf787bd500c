"""The outside that flows are given: built-in providers, carriers, customs and bank, the reference data in memory, and the operator's two secrets."""

import asyncio
import os
import secrets
import uuid
from datetime import datetime
from pathlib import Path
from typing import Final

from entrepot.adapters.bank import BuiltInBank
from entrepot.adapters.carrier import demo_carriers
from entrepot.adapters.customs_gateway import BuiltInCustomsGateway
from entrepot.adapters.mail import LogMailer, Mailer, SpoolMailer
from entrepot.adapters.payment_provider import BuiltInProvider
from entrepot.adapters.webhooks import Reach
from entrepot.base.ids import RandomIds
from entrepot.base.sql import Conn
from entrepot.base.time import monotonic_s
from entrepot.bootstrap.settings import MailMode, Settings, WebhookReach, WorldMode
from entrepot.flows.outside import Outside
from entrepot.flows.reference import Reference, read_reference
from entrepot.operations.registry import REGISTRY, Registry
from entrepot.parties.sealing import Keyring

_KEYRING_FILE: Final = "keyring"
_MAIL_DIRECTORY: Final = "mail"
_MASTER_KEY_BYTES: Final = 32
_SECRET_BYTES: Final = 32
_HOLD_S: Final = 1800
_LEAST_REAL_HOLD_S: Final = 600
_FRESH_S: Final = 60


def build_outside(settings: Settings, reference: Reference) -> Outside:
    """Build the outside of one process; an unpaid order holds its units for half a business hour, and never less than ten real minutes.

    Only a world moves the business clock faster than the machine's: without one the speed says nothing about holds.
    """
    seed = str(settings.seed)
    speed = settings.speed if settings.world is WorldMode.ON else 1
    hold_s = max(_HOLD_S, int(_LEAST_REAL_HOLD_S * speed))
    return Outside(reference, RandomIds(), BuiltInProvider(), demo_carriers(seed), BuiltInCustomsGateway(seed), BuiltInBank(), hold_s)


def build_mailer(settings: Settings) -> Mailer:
    """Build the mailer of one process."""
    return SpoolMailer(settings.data / _MAIL_DIRECTORY) if settings.mail is MailMode.SPOOL else LogMailer()


def reach_of(settings: Settings) -> Reach:
    """Return where webhooks may go: to this machine too while the demonstration world lives, and not in an installation that is meant."""
    if settings.webhook_reach is WebhookReach.AUTO:
        return Reach.LOOPBACK if settings.world is WorldMode.ON else Reach.PUBLIC
    return Reach(settings.webhook_reach.value)


class FreshOutside:
    """The outside with reference data that is read again every minute, and at every call while there is no marketplace yet."""

    def __init__(self, settings: Settings, registry: Registry = REGISTRY) -> None:
        self._settings = settings
        self._registry = registry
        self._lock = asyncio.Lock()
        self._outside: Outside | None = None
        self._read_s = 0.0

    async def current(self, conn: Conn, now: datetime) -> Outside:
        """Return the outside; whoever comes first after a minute reads the reference data for the day of `now` again."""
        outside = self._outside
        if outside is not None and self._is_fresh(outside):
            return outside
        async with self._lock:
            outside = self._outside
            if outside is None or not self._is_fresh(outside):
                outside = self._outside = build_outside(self._settings, await read_reference(conn, self._registry, now.date()))
                self._read_s = monotonic_s()
            return outside

    def _is_fresh(self, outside: Outside) -> bool:
        return bool(outside.reference.marketplaces) and monotonic_s() - self._read_s < _FRESH_S


def read_keyring(settings: Settings) -> Keyring:
    """Return the operator's secrets from the data directory, made once by whichever process asks first; without the file sealed data stays sealed."""
    path = settings.data / _KEYRING_FILE
    if not path.exists():
        _write_once(path, secrets.token_bytes(_MASTER_KEY_BYTES + _SECRET_BYTES))
    content = path.read_bytes()
    return Keyring(content[:_MASTER_KEY_BYTES], content[_MASTER_KEY_BYTES:])


def _write_once(path: Path, content: bytes) -> None:
    """Give a file its content whole and for its owner only; who comes second leaves the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid.UUID(bytes=secrets.token_bytes(16))}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
