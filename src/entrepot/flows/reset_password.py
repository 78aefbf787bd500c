"""Mails about an account go to the address that it has, and only there: the link for a forgotten password, and what was changed.

Whether an account exists is not told: the page that sends a link answers the same for every login.
"""

import uuid
from datetime import datetime

from entrepot.adapters.mail import MailMessage
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.parties.account_safety import AccountReader, ResetLink, begin_password_reset, read_account
from entrepot.parties.buyers import read_buyers
from entrepot.parties.sealing import Keyring

RESET = "password_reset"
CHANGED = "account_changed"


async def ask_password_reset(conn: Conn, keyring: Keyring, login: str, at: datetime) -> tuple[ResetLink, str] | None:
    """Make a link for an account and return it with the address it goes to; None when there is no account, no address, or links enough."""
    link = await begin_password_reset(conn, login, at)
    if link is None:
        return None
    address = await _address(conn, keyring, link.reader)
    return (link, address) if address else None


async def find_account_reader(conn: Conn, keyring: Keyring, staff_id: uuid.UUID) -> tuple[AccountReader, str] | None:
    """Return who is told of a change in an account with the address; None when it has no address."""
    reader = await read_account(conn, staff_id)
    address = await _address(conn, keyring, reader)
    return (reader, address) if address else None


async def _address(conn: Conn, keyring: Keyring, reader: AccountReader) -> str:
    """Return the address of an account, else that of the buyer who it is, else nothing."""
    if reader.mail_address or reader.person_id is None:
        return reader.mail_address or ""
    buyers = await read_buyers(conn, keyring, [reader.person_id])
    buyer = buyers.get(reader.person_id)
    return buyer.details.email if buyer is not None and buyer.details is not None else ""


def account_mail(template: str, reader: AccountReader, address: str, language_code: str, text: tuple[str, str], at: datetime) -> MailMessage:
    """Return a mail about an account; its subject and body are already in the reader's language."""
    subject, body = text
    message_id = derived_id("mail", template, reader.staff_id, at.isoformat())
    return MailMessage(message_id, f"staff:{reader.staff_id}", address, template, language_code, subject, body, at)
