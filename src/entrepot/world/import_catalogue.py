"""The shop of an import: the merchant whose orders these are, its models, site, products, offers and buyers, opened by the ordinary commands."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from msgspec import Struct, field

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.money import major
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.catalogue.commands import add_offers, add_products, add_stock_items
from entrepot.catalogue.model import (
    NewOffer,
    NewProduct,
    NewStockItem,
    Product,
    ProductText,
    offer_id_of,
    require_marketplace,
    stock_item_id_of,
)
from entrepot.catalogue.store import read_marketplaces
from entrepot.flows.open_house import admission_rule, bins_of, load_ground
from entrepot.flows.refresh_lanes import open_sites
from entrepot.operations.model import PlaceKind
from entrepot.operations.registry import Registry
from entrepot.parties.buyers import register_buyers
from entrepot.parties.commands import add_bank_accounts, add_registrations, decide_kyc, file_kyc, open_models, register_merchants
from entrepot.parties.demo import load_legal_entities
from entrepot.parties.model import (
    INBOUND_GATE,
    PAYOUT_GATE,
    BankAccount,
    KycDecision,
    KycFiling,
    KycState,
    ModelOpening,
    NewMerchant,
    Registration,
    RegistrationKind,
    listing_gate,
    merchant_id_of,
)
from entrepot.parties.people import NewBuyer, PersonalDetails, anonymous_buyer_id
from entrepot.parties.sealing import Keyring
from entrepot.parties.store import read_opened_models
from entrepot.sourcing.model import Place
from entrepot.sourcing.seed_rows import demo_places
from entrepot.warehouse.model import BinZone
from entrepot.warehouse.store_floor import insert_bins
from entrepot.world.import_terms import ImportTerms, ModelNotForImportError, import_defaults
from entrepot.world.order_drafts import BuyerDraft, ProductDraft
from entrepot.world.order_lines import ANONYMOUS

IMPORTER: Final = Actor(ActorKind.PROGRAM, "order-import", "operator")
"""The program that plays an order file."""
AHEAD: Final = timedelta(days=7)
"""How long before they are sold units come in."""
_BANK_DIGITS: Final = "0000"


class Shop(Struct, frozen=True):
    """A merchant that is ready to sell what the file names, and where each model's units lie."""

    terms: ImportTerms
    merchant_id: uuid.UUID
    marketplace_code: str
    opened_at: datetime
    places: Mapping[str, Place]
    bin_codes: tuple[str, ...]
    models: dict[str, str] = field(default_factory=dict[str, str])
    offers: dict[str, uuid.UUID] = field(default_factory=dict[str, uuid.UUID])

    def model_of(self, sku: str) -> str:
        """Return the model that a SKU is sold by."""
        known = self.models.get(sku)
        if known is None:
            known = self.models[sku] = self.terms.model_of(sku)
        return known

    def place_of(self, sku: str) -> Place:
        """Return where a SKU's units lie."""
        return self.places[self.model_of(sku)]

    def item_of(self, sku: str) -> uuid.UUID:
        """Return the stock item of a SKU."""
        return stock_item_id_of(self.merchant_id, sku)

    def offer_of(self, sku: str) -> uuid.UUID:
        """Return the offer of a SKU."""
        known = self.offers.get(sku)
        if known is None:
            known = self.offers[sku] = offer_id_of(self.merchant_id, sku, self.marketplace_code, self.model_of(sku), self.opened_at)
        return known

    def bin_of(self, sku: str) -> str:
        """Return the bin that a SKU is stowed in."""
        digest = hashlib.blake2b(sku.encode(), digest_size=4).digest()
        return self.bin_codes[int.from_bytes(digest, "big") % len(self.bin_codes)]

    def person_of(self, buyer_key: str) -> uuid.UUID:
        """Return the person behind a buyer of the file."""
        if buyer_key.startswith(ANONYMOUS):
            return anonymous_buyer_id(buyer_key.removeprefix(ANONYMOUS))
        return derived_id("import_person", self.merchant_id, buyer_key)


def shop_of(registry: Registry, terms: ImportTerms, first_on: date) -> Shop:
    """Return the shop of an import whose first order is on `first_on`; a model that the store does not sell by is refused."""
    defaults, code = import_defaults(), terms.merchant_code
    merchant_id = merchant_id_of(code)
    site = Place(f"SITE-{code.upper()}", f"Warehouse of {code}", PlaceKind.MERCHANT_SITE, defaults.country_code, defaults.time_zone, 15, merchant_id)
    near = [place for place in demo_places({}) if place.country_code == defaults.country_code]
    places: dict[str, Place] = {}
    for number, (model_code, _) in enumerate(sorted(terms.shares)):
        plan = registry.plan(model_code)
        fitting = [place for place in (site, *near) if plan.ships_from(PlaceKind(place.kind)) and plan.regime_at(PlaceKind(place.kind)) is None]
        if not fitting or not plan.may_sell_in(defaults.marketplace_code):
            raise ModelNotForImportError("models", model_code, f"{model_code} does not sell in {defaults.marketplace_code}; choose others.")
        places[model_code] = fitting[number % len(fitting)]
    bins = tuple(one.bin_code for one in bins_of(site.place_code) if one.zone_code is BinZone.FORWARD)
    opened_at = start_of_day(first_on, defaults.time_zone) - 2 * AHEAD
    return Shop(terms, merchant_id, defaults.marketplace_code, opened_at, places, bins)


async def open_shop(conn: Conn, registry: Registry, shop: Shop, today: date) -> None:
    """Load what every house needs and open the merchant with its models and site; a second call changes nothing."""
    defaults, code, at = import_defaults(), shop.terms.merchant_code, shop.opened_at
    await load_ground(conn, registry, at)
    await load_legal_entities(conn, at)
    require_marketplace(await read_marketplaces(conn), shop.marketplace_code)
    await register_merchants(
        conn, [NewMerchant(code, f"Merchant of {shop.terms.path.name}", defaults.country_code, defaults.currency, defaults.time_zone)], IMPORTER, at
    )
    kinds = (RegistrationKind.VAT, RegistrationKind.EORI, RegistrationKind.OWN_SITE, RegistrationKind.OWN_CARRIER)
    numbers = [Registration(shop.merchant_id, defaults.country_code, kind, f"{defaults.country_code}-{code}-{kind}", at.date()) for kind in kinds]
    await add_registrations(conn, numbers, IMPORTER, at)
    account = BankAccount(shop.merchant_id, defaults.currency, f"account-of-{code}", _BANK_DIGITS, defaults.country_code, at.date())
    await add_bank_accounts(conn, [account], IMPORTER, at)
    gates = (listing_gate(shop.marketplace_code), INBOUND_GATE, PAYOUT_GATE)
    await file_kyc(conn, [KycFiling(shop.merchant_id, gate, ("order-file",)) for gate in gates], IMPORTER, at)
    await decide_kyc(conn, [KycDecision(shop.merchant_id, gate, KycState.APPROVED) for gate in gates], IMPORTER, at)
    openings = [ModelOpening(shop.merchant_id, shop.marketplace_code, model_code) for model_code in shop.places]
    await open_models(conn, openings, {plan.model_code: admission_rule(plan) for plan in registry.plans()}, IMPORTER, today, at)
    platform = demo_places({})
    own = [place for place in dict.fromkeys(shop.places.values()) if place.merchant_id is not None]
    await insert_bins(conn, [one for place in platform for one in bins_of(place.place_code)])
    await open_sites(conn, registry, [*platform, *own], today)


async def fill_shop(conn: Conn, shop: Shop, keyring: Keyring, products: Sequence[ProductDraft], buyers: Sequence[BuyerDraft]) -> None:
    """Add the products, stock items and offers of the file, and register its buyers; a second call changes nothing."""
    at = shop.opened_at
    added = await add_products(conn, [_product(shop, draft) for draft in products], at)
    added += await add_stock_items(conn, [_stock_item(shop, draft) for draft in products], IMPORTER, at)
    opened = await read_opened_models(conn, [shop.merchant_id])
    added += await add_offers(conn, [_offer(shop, draft) for draft in products if draft.price_minor], opened, IMPORTER, at)
    for one in added:
        one.require()
    await register_buyers(conn, keyring, [_buyer(shop, draft) for draft in buyers], at)


def _product_id(shop: Shop, sku: str) -> uuid.UUID:
    return derived_id("import_product", shop.merchant_id, sku)


def _product(shop: Shop, draft: ProductDraft) -> NewProduct:
    like = import_defaults().product
    product = Product(_product_id(shop, draft.sku), like.category_code, like.weight_g, like.length_mm, like.width_mm, like.height_mm)
    return NewProduct(product, (ProductText("en", draft.title),))


def _stock_item(shop: Shop, draft: ProductDraft) -> NewStockItem:
    defaults = import_defaults()
    like, said = defaults.product, shop.terms.classes.get(draft.sku)
    return NewStockItem(
        shop.merchant_id,
        draft.sku,
        _product_id(shop, draft.sku),
        draft.price_minor * like.cost_percent // 100,
        defaults.currency,
        said.hs_code if said else like.hs_code,
        said.origin_country_code if said else like.origin_country_code,
    )


def _offer(shop: Shop, draft: ProductDraft) -> NewOffer:
    currency = import_defaults().currency
    return NewOffer(
        shop.merchant_id, draft.sku, shop.marketplace_code, shop.model_of(draft.sku), major(draft.price_minor, currency), currency, shop.opened_at
    )


def _buyer(shop: Shop, draft: BuyerDraft) -> NewBuyer:
    """Return a buyer by the number that the shop gave it, or the anonymous one of the country."""
    number = draft.buyer_key.partition(":")[2]
    details = None if draft.is_anonymous else PersonalDetails(f"Customer {number}")
    return NewBuyer(shop.person_of(draft.buyer_key), draft.country_code, details)
