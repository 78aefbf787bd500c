"""Products, stock items and offers: what may be listed where, which offer is featured, and how words are searched."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from entrepot.base.errors import ConflictError, EntrepotError, ForbiddenError, RefusedInputError, UnknownReferenceError
from entrepot.base.ids import derived_id
from entrepot.base.money import decimals_of, parse_minor
from entrepot.base.states import declare_states


class UnknownMarketplaceError(UnknownReferenceError):
    """No marketplace has this code; the caller uses one that exists."""


class UnknownProductError(UnknownReferenceError):
    """No product has this id; the caller adds the product first."""


class UnknownStockItemError(UnknownReferenceError):
    """The merchant has no stock item with this SKU; the merchant adds it first."""


class UnknownOfferError(UnknownReferenceError):
    """The merchant has no offer with this id."""


class CurrencyOfMarketplaceError(RefusedInputError):
    """Prices are in the marketplace's currency; the merchant converts the price."""


class PriceNotPositiveError(RefusedInputError):
    """A price must be above zero."""


class NegativeCostError(RefusedInputError):
    """A cost must be zero or more."""


class MeasureNotPositiveError(RefusedInputError):
    """Weight and dimensions must be whole numbers of at least one gram or millimetre."""


class ProductTextMissingError(RefusedInputError):
    """A product needs a title in at least one language."""


class MalformedGtinError(RefusedInputError):
    """The GTIN has a wrong length or check digit; the merchant reads it again from the package."""


class MalformedHsCodeError(RefusedInputError):
    """The HS code is not six to ten digits; the merchant classifies the goods."""


class MalformedCountryError(RefusedInputError):
    """The country of origin is not a two-letter code in capitals."""


class EmptySkuError(RefusedInputError):
    """The SKU is empty; the merchant gives the item a code."""


class ModelNotOpenedError(ForbiddenError):
    """The merchant has not opened this operation model in this marketplace; the merchant opens it first."""


class OfferNotShippableError(RefusedInputError):
    """The offer lacks what customs asks for at the border that its goods must cross; the merchant fills it in."""


class ElectronicLabelMissingError(RefusedInputError):
    """The marketplace shows an electronic label in its own language; the merchant provides it."""


class OfferRestrictedError(ForbiddenError):
    """The goods may not be sold or imported there; the merchant offers them elsewhere."""


class OfferPeriodError(RefusedInputError):
    """The offer ends on or before its start; the merchant corrects the dates."""


class OfferNotChangeableError(ConflictError):
    """The offer is closed for good; the merchant makes a new one."""


class Outcome(StrEnum):
    """What adding a row did; a refused one says why beside it."""

    NEW = "new"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    REFUSED = "refused"


class OfferState(StrEnum):
    """Whether an offer can be bought; a closed offer stays closed."""

    LIVE = "live"
    PAUSED = "paused"
    CLOSED = "closed"


OFFER_STATES: Final = declare_states(
    "offer",
    OfferState.LIVE,
    {OfferState.LIVE: {OfferState.PAUSED, OfferState.CLOSED}, OfferState.PAUSED: {OfferState.LIVE, OfferState.CLOSED}, OfferState.CLOSED: set()},
)


class RestrictionRule(StrEnum):
    """What a country forbids for a category."""

    SALE_PROHIBITED = "sale_prohibited"
    IMPORT_PROHIBITED = "import_prohibited"


class Marketplace(Struct, frozen=True):
    """A store: its country, language, currency, and what it sells by and delivers to; the first language is its main one."""

    marketplace_code: str
    name: str
    country_code: str
    currency: str
    languages: tuple[str, ...]
    time_zone: str
    price_includes_tax: bool
    destination_codes: tuple[str, ...]
    opened_on: date
    label_language: str | None = None


class ProductText(Struct, frozen=True):
    """A product in one language, with the words that customs reads."""

    language: str
    title: str
    description: str = ""
    customs_description: str = ""


class Product(Struct, frozen=True):
    """A physical product as it is packed for sale: grams and millimetres of one unit."""

    product_id: uuid.UUID
    category_code: str
    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int
    gtin: str | None = None
    hazard_code: str | None = None
    is_lot_controlled: bool = False
    is_expiry_controlled: bool = False


class NewProduct(Struct, frozen=True):
    """A product to add, with its texts."""

    product: Product
    texts: tuple[ProductText, ...]


class NewStockItem(Struct, frozen=True):
    """A merchant's SKU to add; classification and origin may follow later."""

    merchant_id: uuid.UUID
    sku: str
    product_id: uuid.UUID
    sourcing_cost_minor: int
    cost_currency: str
    hs_code: str | None = None
    origin_country_code: str | None = None
    unit_code: str = "piece"

    @property
    def stock_item_id(self) -> uuid.UUID:
        """The id that always follows from merchant and SKU."""
        return stock_item_id_of(self.merchant_id, self.sku)


@dataclass(frozen=True, slots=True)
class NewOffer:
    """An offer to add: price in major units of the currency; `crosses_border` says that the goods must cross a customs-territory border to the buyer."""

    merchant_id: uuid.UUID
    sku: str
    marketplace_code: str
    model_code: str
    price: Decimal
    currency: str
    effective_from: datetime
    effective_to: datetime | None = None
    priority: int = 0
    handling_days: int = 1
    crosses_border: bool = False
    electronic_label: Mapping[str, str] | None = field(default=None, hash=False)

    @property
    def stock_item_id(self) -> uuid.UUID:
        """The id of the stock item that is offered."""
        return stock_item_id_of(self.merchant_id, self.sku)

    @property
    def offer_id(self) -> uuid.UUID:
        """The id that always follows from item, marketplace, model and start."""
        return offer_id_of(self.merchant_id, self.sku, self.marketplace_code, self.model_code, self.effective_from)


class ItemMeasure(Struct, frozen=True):
    """Weight and outer sides of one unit, and what kind of goods it is."""

    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int
    category_code: str
    hazard_code: str | None


class ItemFacts(Struct, frozen=True):
    """What the checks of an offer need to know about its stock item."""

    stock_item_id: uuid.UUID
    category_code: str
    hs_code: str | None
    origin_country_code: str | None


class Restriction(Struct, frozen=True):
    """A dated rule of a country about a category; an inactive one waits for the operator's word."""

    category_code: str
    country_code: str
    rule: RestrictionRule
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str
    is_active: bool


class Added(Struct, frozen=True):
    """The id of a row, what adding it did, and why if it was refused."""

    row_id: uuid.UUID
    outcome: Outcome
    refusal: EntrepotError | None = None

    def require(self) -> uuid.UUID:
        """Return the id, or raise the refusal."""
        if self.refusal is not None:
            raise self.refusal
        return self.row_id


class OfferFacts(Struct, frozen=True):
    """All an order needs to know of an offer; measures in millimetres and grams, money in minor units of the currency beside it.

    Title and customs words are in the store's main language, else in English, and empty where only the terms were asked for.
    """

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    stock_item_id: uuid.UUID
    sku: str
    product_id: uuid.UUID
    marketplace_code: str
    model_code: str
    price_minor: int
    currency: str
    state: str
    effective_from: datetime
    effective_to: datetime | None
    priority: int
    handling_days: int
    category_code: str
    hazard_code: str | None
    hs_code: str | None
    origin_country_code: str | None
    unit_code: str
    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int
    is_lot_controlled: bool
    is_expiry_controlled: bool
    sourcing_cost_minor: int
    cost_currency: str
    electronic_label: Mapping[str, str] | None
    title: str = ""
    customs_description: str = ""

    def is_salable(self, at: datetime) -> bool:
        """Tell whether the offer can be bought at an instant."""
        return self.state == OfferState.LIVE and self.effective_from <= at and (self.effective_to is None or at < self.effective_to)


class CompetingOffer(Struct, frozen=True):
    """An offer as it competes for being featured on a product page."""

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    stock_item_id: uuid.UUID
    model_code: str
    price_minor: int
    priority: int
    handling_days: int


Item = TypeVar("Item")


def tell_outcomes(
    items: Sequence[Item],
    key_of: Callable[[Item], object],
    new_keys: frozenset[object],
    stored: Mapping[object, object],
    values_of: Callable[[Item], object],
) -> list[Outcome]:
    """Tell for each input whether it is new, a replay, or a replay with other values; a twin inside the batch is a replay of the first."""
    known = dict(stored)
    outcomes: list[Outcome] = []
    for item in items:
        key, values = key_of(item), values_of(item)
        if key not in known:
            known[key] = values
            outcomes.append(Outcome.NEW if key in new_keys else Outcome.EXISTS)
        else:
            outcomes.append(Outcome.EXISTS if known[key] == values else Outcome.EXISTS_WITH_DIFFERENT_VALUES)
    return outcomes


def stock_item_id_of(merchant_id: uuid.UUID, sku: str) -> uuid.UUID:
    """Return the id of a merchant's SKU."""
    return derived_id("stock_item", merchant_id, sku)


def offer_id_of(merchant_id: uuid.UUID, sku: str, marketplace_code: str, model_code: str, effective_from: datetime) -> uuid.UUID:
    """Return the id of the offer of a SKU by a model in a marketplace from an instant on."""
    return derived_id("offer", merchant_id, sku, marketplace_code, model_code, effective_from.astimezone(UTC).isoformat())


def require_marketplace(marketplaces: Mapping[str, Marketplace], marketplace_code: str) -> Marketplace:
    """Return the marketplace, or refuse the code and list those that exist."""
    try:
        return marketplaces[marketplace_code]
    except KeyError:
        raise UnknownMarketplaceError("marketplace_code", marketplace_code, "Use one of %(choices)s.", choices=sorted(marketplaces)) from None


def require_gtin(gtin: str) -> str:
    """Return a GTIN-8, -12, -13 or -14 if its check digit is right (GS1 General Specifications, section 7.9)."""
    if gtin.isascii() and gtin.isdigit() and len(gtin) in {8, 12, 13, 14}:
        weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(gtin)))
        if weighted % 10 == 0:
            return gtin
    raise MalformedGtinError("gtin", gtin, "Give 8, 12, 13 or 14 digits with a right check digit.")


def product_refusal(new: NewProduct) -> EntrepotError | None:
    """Return why a product cannot be added, or None."""
    try:
        _check_product(new)
    except EntrepotError as refusal:
        return refusal
    return None


def stock_item_refusal(item: NewStockItem, product_ids: frozenset[uuid.UUID]) -> EntrepotError | None:
    """Return why a stock item cannot be added, or None."""
    try:
        _check_stock_item(item, product_ids)
    except EntrepotError as refusal:
        return refusal
    return None


class ListingGround(Struct, frozen=True):
    """What offers are checked against: the stores, the items offered, the models opened, the restrictions."""

    marketplaces: Mapping[str, Marketplace]
    items: Mapping[uuid.UUID, ItemFacts]
    opened_models: frozenset[tuple[uuid.UUID, str, str]]
    restrictions: Sequence[Restriction]


def offer_refusal(offer: NewOffer, ground: ListingGround) -> EntrepotError | None:
    """Return why an offer cannot be added, or None; the first of currency, price, model, item, border, label and restriction that fails."""
    try:
        _check_offer(offer, ground)
    except EntrepotError as refusal:
        return refusal
    return None


def price_minor_of(price: Decimal, currency: str, marketplace: Marketplace) -> int:
    """Return a price in minor units; it must be in the store's currency, above zero, and have no more decimals than the currency."""
    decimals_of(currency)
    if currency != marketplace.currency:
        raise CurrencyOfMarketplaceError(
            "currency", currency, "%(store)s sells in %(currency)s.", store=marketplace.marketplace_code, currency=marketplace.currency
        )
    minor = parse_minor(format(price, "f"), currency, "price")
    if minor <= 0:
        raise PriceNotPositiveError("price", format(price, "f"), "Give a price above zero.")
    return minor


def restriction_on(
    restrictions: Sequence[Restriction], category_code: str, country_code: str, rules: frozenset[RestrictionRule], on: date
) -> Restriction | None:
    """Return the active restriction of these rules on a category in a country on a date, or None."""
    return next(
        (
            rule
            for rule in restrictions
            if rule.is_active
            and (rule.category_code, rule.country_code) == (category_code, country_code)
            and rule.rule in rules
            and rule.effective_from <= on
            and (rule.effective_to is None or on < rule.effective_to)
        ),
        None,
    )


def featured_offer(offers: Sequence[CompetingOffer]) -> CompetingOffer | None:
    """Return the offer a product page features.

    Each stock item is represented by its offer of the smallest priority number, as its merchant wants; among these the lowest price wins, then the
    fewest handling days, then the older id, so that the order of the input decides nothing.
    """
    ranked = sorted(offers, key=lambda offer: (offer.priority, offer.price_minor, offer.handling_days, offer.offer_id))
    representing: dict[tuple[uuid.UUID, uuid.UUID], CompetingOffer] = {}
    for offer in ranked:
        representing.setdefault((offer.merchant_id, offer.stock_item_id), offer)
    return min(representing.values(), key=lambda offer: (offer.price_minor, offer.handling_days, offer.offer_id), default=None)


_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+|[^\W_]+")
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def search_words(text: str) -> list[str]:
    """Return the words a text is found by, in lower case: runs of Chinese or Japanese become pairs of neighbouring characters."""
    words: list[str] = []
    for run in _WORD.findall(_spaced(text.lower())):
        if _CJK.match(run) and len(run) > 2:
            words.extend(run[start : start + 2] for start in range(len(run) - 1))
        else:
            words.append(run)
    return words


def _spaced(text: str) -> str:
    """Set runs of Chinese or Japanese apart from the letters they touch."""
    return re.sub(r"([\u3040-\u30ff\u3400-\u9fff]+)", r" \1 ", text)


def _check_product(new: NewProduct) -> None:
    """Raise why a product cannot be added."""
    product = new.product
    for measure in ("weight_g", "length_mm", "width_mm", "height_mm"):
        value = getattr(product, measure)
        if value <= 0:
            raise MeasureNotPositiveError(measure, value, "Measure one packed unit.")
    if product.gtin is not None:
        require_gtin(product.gtin)
    if not new.texts or not all(text.title.strip() for text in new.texts):
        raise ProductTextMissingError(
            "texts", [text.language for text in new.texts], "Give a title in at least one language, and none without words."
        )


def _check_stock_item(item: NewStockItem, product_ids: frozenset[uuid.UUID]) -> None:
    """Raise why a stock item cannot be added."""
    if not item.sku.strip():
        raise EmptySkuError("sku", item.sku, "Give at least one character.")
    if item.product_id not in product_ids:
        raise UnknownProductError("product_id", str(item.product_id), "Add the product first.")
    decimals_of(item.cost_currency)
    if item.sourcing_cost_minor < 0:
        raise NegativeCostError("sourcing_cost_minor", item.sourcing_cost_minor, "Give zero or more.")
    check_classification(item.hs_code, item.origin_country_code)


def check_classification(hs_code: str | None, origin_country_code: str | None) -> None:
    """Refuse an HS code that is not six to ten digits or an origin that is no country code; both may be missing."""
    if hs_code is not None and not re.fullmatch(r"[0-9]{6,10}", hs_code):
        raise MalformedHsCodeError("hs_code", hs_code, "Give six to ten digits without dots, such as 851762.")
    if origin_country_code is not None and not re.fullmatch(r"[A-Z]{2}", origin_country_code):
        raise MalformedCountryError("origin_country_code", origin_country_code, "Use a two-letter ISO 3166-1 code in capitals, such as CN.")


def _check_offer(offer: NewOffer, ground: ListingGround) -> None:
    """Raise why an offer cannot be added."""
    marketplace = require_marketplace(ground.marketplaces, offer.marketplace_code)
    price_minor_of(offer.price, offer.currency, marketplace)
    if (offer.merchant_id, offer.marketplace_code, offer.model_code) not in ground.opened_models:
        raise ModelNotOpenedError(
            "model_code", offer.model_code, "Open %(model)s in %(store)s first.", model=offer.model_code, store=offer.marketplace_code
        )
    if offer.effective_to is not None and offer.effective_to <= offer.effective_from:
        raise OfferPeriodError("effective_to", offer.effective_to.isoformat(), "Choose a later end, or leave it open.")
    item = ground.items.get(offer.stock_item_id)
    if item is None:
        raise UnknownStockItemError("sku", offer.sku, "Add the stock item first.")
    if offer.crosses_border:
        require_customs_facts(item)
    if marketplace.label_language is not None and not offer.electronic_label:
        raise ElectronicLabelMissingError("electronic_label", None, "Give the label's text in %(language)s.", language=marketplace.label_language)
    forbidding = {RestrictionRule.SALE_PROHIBITED} | ({RestrictionRule.IMPORT_PROHIBITED} if offer.crosses_border else set[RestrictionRule]())
    found = restriction_on(ground.restrictions, item.category_code, marketplace.country_code, frozenset(forbidding), offer.effective_from.date())
    if found is not None:
        raise OfferRestrictedError(
            "category_code",
            item.category_code,
            "%(rule)s in %(country)s since %(day)s: %(source)s.",
            rule=found.rule,
            country=found.country_code,
            day=found.effective_from,
            source=found.source,
        )


def require_customs_facts(item: ItemFacts) -> None:
    """Refuse an item that must cross a customs-territory border without HS code or country of origin."""
    for name, value in (("hs_code", item.hs_code), ("origin_country_code", item.origin_country_code)):
        if not value:
            raise OfferNotShippableError(name, value, "Fill it in on the stock item, then offer it again.")
