"""Whether a sale of the file may be made at all: each kind of line is tried on the flow's own plan, in memory, before anything is written."""

import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

from msgspec import Struct, field

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.catalogue.model import OfferFacts, OfferState
from entrepot.customs.goods import NoRuleOnDateError
from entrepot.flows.ground import read_terms
from entrepot.flows.plan_checkout import CheckoutPlan, Ground, MerchantTerms, NoTaxRuleError, plan_checkout
from entrepot.flows.reference import Reference
from entrepot.operations.model import Channel
from entrepot.orders.model import LineAsk, NotEnoughUnitsError, OrderRequest
from entrepot.sourcing.model import FreeStock
from entrepot.world.import_catalogue import Shop
from entrepot.world.import_terms import import_defaults
from entrepot.world.order_lines import FileLine, LineReason

NO_RULE: Final = "no_rule_on_date"
METHOD: Final = "invoice"
"""How the file's buyers pay: the sale is decided with the order."""
_LEAST_MINOR: Final = 1
_MOST_MINOR: Final = 10**8
_PLENTY: Final = 10**9
_Key = tuple[str, date, str, str, str]


def reason_of(refusal: EntrepotError) -> str:
    """Return the reason by which a line is rejected that the flow refused."""
    if isinstance(refusal, NoTaxRuleError | NoRuleOnDateError):
        return NO_RULE
    return str(LineReason.DESTINATION_NOT_SERVED) if isinstance(refusal, NotEnoughUnitsError) else refusal.code


class SaleRules(Struct, frozen=True):
    """Decides sales alone, line by line; lines of one kind and day are decided once, unless their value makes a difference."""

    reference: Reference
    shop: Shop
    merchants: Mapping[uuid.UUID, MerchantTerms]
    _known: dict[_Key, tuple[str | None, str | None]] = field(default_factory=dict[_Key, tuple[str | None, str | None]])

    def refuse(self, line: FileLine) -> str | None:
        """Return why a sale cannot be made, or None."""
        said = self.shop.terms.classes.get(line.sku)
        like = import_defaults().product
        hs_code, origin = (said.hs_code, said.origin_country_code) if said else (like.hs_code, like.origin_country_code)
        key = (line.country_code, line.on, self.shop.model_of(line.sku), hs_code, origin)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (self._try(key, line.at, _LEAST_MINOR, 1), self._try(key, line.at, _MOST_MINOR, 1))
        return known[0] if known[0] == known[1] else self._try(key, line.at, line.price_minor, line.quantity)

    def _try(self, key: _Key, at: datetime, price_minor: int, quantity: int) -> str | None:
        """Plan an order of one line in memory and return why that is refused, or None."""
        country_code, _, model_code, hs_code, origin = key
        offer = self._offer(model_code, hs_code, origin)
        place = self.shop.places[model_code]
        shelf = {(offer.merchant_id, offer.stock_item_id): [FreeStock(offer.merchant_id, place.place_code, "free", "-", _PLENTY)]}
        request = OrderRequest(
            offer.offer_id, offer.offer_id, "", offer.marketplace_code, Channel.STORE, country_code, "", METHOD,
            (LineAsk(offer.merchant_id, offer.offer_id, quantity),), at, buyer_freight_minor=0, declared_unit_values=(price_minor,),
        )  # fmt: skip
        plan = plan_checkout(request, Ground(self.reference, {offer.offer_id: offer}, self.merchants, shelf))
        return None if isinstance(plan, CheckoutPlan) else reason_of(plan)

    def _offer(self, model_code: str, hs_code: str, origin: str) -> OfferFacts:
        """Return an offer like those of the file, for trying."""
        like, shop, none = import_defaults().product, self.shop, uuid.UUID(int=0)
        return OfferFacts(
            shop.merchant_id, none, none, "", none, shop.marketplace_code, model_code, _LEAST_MINOR, import_defaults().currency,
            OfferState.LIVE, datetime(1990, 1, 1, tzinfo=UTC), None, 0, 1, like.category_code, None, hs_code, origin, "piece", like.weight_g,
            like.length_mm, like.width_mm, like.height_mm, is_lot_controlled=False, is_expiry_controlled=False, sourcing_cost_minor=0,
            cost_currency=import_defaults().currency, electronic_label=None,
        )  # fmt: skip


async def read_sale_rules(conn: Conn, reference: Reference, shop: Shop, on: date) -> SaleRules:
    """Return the rules for the sales of a shop that is open."""
    return SaleRules(reference, shop, await read_terms(conn, [shop.merchant_id], on))
