"""The outside as one frozen bundle: built once in bootstrap, handed to every flow."""

from collections.abc import Mapping

from msgspec import Struct

from entrepot.base.ids import Ids
from entrepot.customs.ports import CustomsGateway
from entrepot.flows.reference import Reference
from entrepot.freight.ports import Carrier
from entrepot.orders.ports import PaymentProvider
from entrepot.settlement.ports import Bank


class Outside(Struct, frozen=True):
    """Payment provider, carriers, customs and bank, with the reference data and the source of ids; `hold_s` is how long an unpaid order holds its units."""

    reference: Reference
    ids: Ids
    payments: PaymentProvider
    carriers: Mapping[str, Carrier]
    customs: CustomsGateway
    bank: Bank
    hold_s: int = 1800
