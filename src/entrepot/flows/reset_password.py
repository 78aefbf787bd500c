"""Somebody forgot the password: a link goes to the address that the account has, and only there.

Whether an account exists is not told: the page answers the same for every login.
"""

from datetime import datetime

from entrepot.adapters.mail import MailMessage
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.parties.account_safety import ResetLink, begin_password_reset
from entrepot.parties.buyers import read_buyers
from entrepot.parties.sealing import Keyring

TEMPLATE = "password_reset"


async def ask_password_reset(conn: Conn, keyring: Keyring, login: str, at: datetime) -> tuple[ResetLink, str] | None:
    """Make a link for an account and return it with the address it goes to; None when there is no account, no address, or links enough."""
    link = await begin_password_reset(conn, login, at)
    if link is None:
        return None
    address = link.mail_address or ""
    if not address and link.person_id is not None:
        buyers = await read_buyers(conn, keyring, [link.person_id])
        buyer = buyers.get(link.person_id)
        address = buyer.details.email if buyer is not None and buyer.details is not None else ""
    return (link, address) if address else None


def reset_mail(link: ResetLink, address: str, language_code: str, text: tuple[str, str], at: datetime) -> MailMessage:
    """Return the mail with the link; its subject and body are already in the reader's language."""
    subject, body = text
    message_id = derived_id("mail", TEMPLATE, link.staff_id, at.isoformat())
    return MailMessage(message_id, f"staff:{link.staff_id}", address, TEMPLATE, language_code, subject, body, at)
