"""What we buy from others for a merchant: the supplier is owed the price, the fee that passes it on is relieved of it, so that only our margin stays."""

import uuid
from datetime import datetime

from msgspec import Struct

from entrepot.base.ids import derived_id
from entrepot.base.money import Money
from entrepot.books.money.model import FX_CLEARING, Entry, MoneyPosting, merge_entries
from entrepot.flows.reference import Reference
from entrepot.operations.model import FeeCode
from entrepot.settlement.exchange import CrossRate


class Purchase(Struct, frozen=True):
    """A service bought for a cause: what the supplier's account is owed, and what of it was passed on in the merchant's book and currency."""

    merchant_id: uuid.UUID
    cause_id: uuid.UUID
    kind: str
    fee_code: FeeCode
    supplier_account: str
    owed: Money
    passed_on: Money
    at: datetime
    order_id: uuid.UUID | None = None
    part_no: int = 0


def purchase_posting(reference: Reference, purchase: Purchase) -> MoneyPosting:
    """Return the posting of a purchase; between two currencies it goes over the exchange account at the day's stored rate."""
    owed, passed_on = purchase.owed, purchase.passed_on
    crossed = reference.rates.cross(owed.currency, passed_on.currency, purchase.at.date())
    entries = [
        Entry(f"fee.{purchase.fee_code}", passed_on.currency, passed_on.minor),
        Entry(FX_CLEARING, passed_on.currency, -passed_on.minor),
        Entry(FX_CLEARING, owed.currency, owed.minor),
        Entry(purchase.supplier_account, owed.currency, -owed.minor),
    ]
    return MoneyPosting(
        purchase.merchant_id,
        derived_id("purchase", purchase.kind, purchase.cause_id, purchase.part_no),
        purchase.at,
        "purchase",
        purchase.kind,
        purchase.cause_id,
        merge_entries(entries),
        order_id=purchase.order_id,
        rate_id=crossed.rate_id if isinstance(crossed, CrossRate) and owed.currency != passed_on.currency else None,
    )
