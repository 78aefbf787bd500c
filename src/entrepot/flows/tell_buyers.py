"""Buyers are told by mail that their order was placed, shipped, delivered or refunded; who has no address, or bought elsewhere, is passed over."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.adapters.mail import Mailer, MailMessage
from entrepot.base.ids import derived_id
from entrepot.base.money import Money
from entrepot.base.notices import Notice, NoticeOutcome, NoticeResult
from entrepot.base.phrases import ChooseVoice, Voice
from entrepot.base.sql import Conn
from entrepot.catalogue.model import Marketplace
from entrepot.catalogue.store import read_marketplaces
from entrepot.flows.mail_texts import MailFacts, render_mail
from entrepot.freight.read import Parcel, read_parcels_of_orders
from entrepot.operations.model import Channel
from entrepot.orders.model import Order
from entrepot.orders.read import read_orders
from entrepot.parties.account_safety import read_account_languages
from entrepot.parties.buyers import read_buyers
from entrepot.parties.people import Buyer
from entrepot.parties.sealing import Keyring

MAILED_FACTS: Final = ("order_placed", "parcel_shipped", "parcel_delivered", "money_returned")
"""Facts of which the buyer gets a mail."""


class _Readers(Struct, frozen=True):
    """Who reads the mails: buyers, the languages of their accounts and of the stores they bought in, and how to speak them."""

    buyers: Mapping[uuid.UUID, Buyer]
    languages: Mapping[uuid.UUID, str]
    stores: Mapping[str, Marketplace]
    choose_voice: ChooseVoice

    def voice_of(self, order: Order) -> Voice:
        """Return the language of the buyer's account, else of the store."""
        store = self.stores.get(order.marketplace_code)
        return self.choose_voice([self.languages.get(order.person_id, ""), *(store.languages if store is not None else ())])


async def write_mails(
    conn: Conn, keyring: Keyring, notices: Sequence[Notice], now: datetime, choose_voice: ChooseVoice
) -> list[MailMessage | NoticeResult]:
    """Return for each notice its mail in the buyer's language, or why there is none: a buyer without address, or one whom another channel tells."""
    merchant_ids, order_ids = [one.merchant_id for one in notices], [one.subject_id for one in notices]
    orders = {(one.merchant_id, one.order_id): one for one in await read_orders(conn, merchant_ids, order_ids)}
    person_ids = sorted({order.person_id for order in orders.values()})
    buyers, languages = await read_buyers(conn, keyring, person_ids), await read_account_languages(conn, person_ids)
    readers = _Readers(buyers, languages, await read_marketplaces(conn), choose_voice)
    parcels = {one.parcel_id: one for one in await read_parcels_of_orders(conn, merchant_ids, order_ids)}
    return [_mail(one, orders.get((one.merchant_id, one.subject_id)), readers, parcels, now) for one in notices]


def _mail(notice: Notice, order: Order | None, readers: _Readers, parcels: Mapping[uuid.UUID, Parcel], now: datetime) -> MailMessage | NoticeResult:
    """Return the mail of one notice, or why there is none."""
    if order is None or order.channel_code != Channel.STORE:
        return NoticeResult(notice, NoticeOutcome.NOT_OURS)
    buyer = readers.buyers.get(order.person_id)
    if buyer is None or buyer.details is None or not buyer.details.email:
        return NoticeResult(notice, NoticeOutcome.NO_ADDRESS)
    parcel = parcels.get(uuid.UUID(str(notice.content["parcel"]))) if "parcel" in notice.content else None
    facts = MailFacts(
        notice.fact_code,
        buyer.details.name,
        order.number,
        Money(int(str(notice.content.get("total_minor", order.total_minor))), order.currency),
        parcel.carrier_code if parcel else "",
        (parcel.tracking_number or "") if parcel else "",
    )
    voice = readers.voice_of(order)
    text = render_mail(facts, voice)
    # a replay is a new mail: a mailer sends the same message id once
    message_id = derived_id("mail", notice.merchant_id, notice.subject_id, notice.fact_code, notice.at.isoformat(), notice.replay_no)
    return MailMessage(message_id, f"person:{order.person_id}", buyer.details.email, notice.fact_code, voice.tag, text.subject, text.body, now)


async def send_mails(mailer: Mailer, notices: Sequence[Notice], mails: Sequence[MailMessage | NoticeResult]) -> list[NoticeResult]:
    """Hand the mails to the mailer and return what became of each notice, in their order."""
    await mailer.send_mail([one for one in mails if isinstance(one, MailMessage)])
    return [
        NoticeResult(notice, NoticeOutcome.DELIVERED) if isinstance(mail, MailMessage) else mail for notice, mail in zip(notices, mails, strict=True)
    ]
