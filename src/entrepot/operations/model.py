"""The words of an operation model and the checks that make a declaration total."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from entrepot.base.errors import BrokenDeclarationError


class Leg(StrEnum):
    """The part of a unit's way: into stock, out to the buyer, back from the buyer."""

    STOCK = "stock"
    ORDER = "order"
    RETURN = "return"


class Channel(StrEnum):
    """Where the sale happens: in one of the platform's stores or anywhere else."""

    STORE = "store"
    EXTERNAL = "external"


class Step(StrEnum):
    """One responsibility on the way of goods, papers and money."""

    SELL = "sell"
    INVOICE_SALE = "invoice_sale"
    OWN_GOODS = "own_goods"
    FIRST_LEG = "first_leg"
    IMPORT_STOCK = "import_stock"
    CLEAR_STOCK = "clear_stock"
    RECEIVE_STOCK = "receive_stock"
    STORE = "store"
    REPLENISH = "replenish"
    PICK = "pick"
    PACK = "pack"
    CARRY = "carry"
    EXPORT_ORDER = "export_order"
    IMPORT_ORDER = "import_order"
    CLEAR_ORDER = "clear_order"
    PAY_DUTY = "pay_duty"
    COLLECT_DUTY = "collect_duty"
    TAX_SALE = "tax_sale"
    COLLECT_TAX = "collect_tax"
    HOLD_MONEY = "hold_money"
    SET_PRICE = "set_price"
    ACCEPT_ORDER = "accept_order"
    KEEP_PROMISE = "keep_promise"
    ANSWER_CUSTOMER = "answer_customer"
    TAKE_RETURN = "take_return"
    GRADE_RETURN = "grade_return"
    EXCHANGE = "exchange"
    DECIDE_REFUND = "decide_refund"
    BEAR_LOSS = "bear_loss"


STEP_LEGS: Final[Mapping[Step, tuple[Leg, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(Step, (Leg.ORDER,)),
        Step.OWN_GOODS: (Leg.STOCK, Leg.ORDER, Leg.RETURN),
        Step.FIRST_LEG: (Leg.STOCK,),
        Step.IMPORT_STOCK: (Leg.STOCK,),
        Step.CLEAR_STOCK: (Leg.STOCK,),
        Step.RECEIVE_STOCK: (Leg.STOCK,),
        Step.STORE: (Leg.STOCK,),
        Step.REPLENISH: (Leg.STOCK,),
        Step.CARRY: (Leg.ORDER, Leg.RETURN),
        Step.TAKE_RETURN: (Leg.RETURN,),
        Step.GRADE_RETURN: (Leg.RETURN,),
        Step.EXCHANGE: (Leg.RETURN,),
        Step.DECIDE_REFUND: (Leg.RETURN,),
        Step.BEAR_LOSS: (Leg.ORDER, Leg.STOCK, Leg.RETURN),
    }
)
"""The legs on which somebody must do each step; the first one is meant where no leg is named."""


class Role(StrEnum):
    """Who may be named for a step; a dated table fills the platform's roles per marketplace with legal entities."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    PAYMENT_INSTITUTION = "payment_institution"
    LOGISTICS_ENTERPRISE = "logistics_enterprise"
    BROKER = "broker"
    DOMESTIC_AGENT = "domestic_agent"
    BONDED_ZONE_OPERATOR = "bonded_zone_operator"
    BUYER = "buyer"
    CHANNEL = "channel"
    CARRIER = "carrier"
    REGIME_DECIDES = "regime_decides"
    LANE_DECIDES = "lane_decides"
    NOBODY = "nobody"


PLATFORM_ROLES: Final[frozenset[Role]] = frozenset(
    {
        Role.PLATFORM,
        Role.PAYMENT_INSTITUTION,
        Role.LOGISTICS_ENTERPRISE,
        Role.BROKER,
        Role.DOMESTIC_AGENT,
        Role.BONDED_ZONE_OPERATOR,
    }
)
"""The registered parties that together are the platform."""


class FeeCode(StrEnum):
    """What a merchant may be charged for."""

    PLAN = "plan"
    REFERRAL = "referral"
    CLOSING = "closing"
    FULFILMENT = "fulfilment"
    OUTBOUND = "outbound"
    CROSS_BORDER_LOGISTICS = "cross_border_logistics"
    CUSTOMS_SERVICE = "customs_service"
    DOMESTIC_AGENT = "domestic_agent"
    EXCHANGE_SPREAD = "exchange_spread"
    LABEL = "label"
    STORAGE = "storage"
    AGED_STOCK = "aged_stock"
    LOW_INVENTORY = "low_inventory"
    INBOUND_PLACEMENT = "inbound_placement"
    INBOUND_TRANSPORT = "inbound_transport"
    INBOUND_PROCESSING = "inbound_processing"
    RETURNS_PROCESSING = "returns_processing"
    RETURNS_HANDLING = "returns_handling"
    REFUND_ADMINISTRATION = "refund_administration"
    REMOVAL = "removal"
    SERVICE_CONTACT = "service_contact"


class FeeTrigger(StrEnum):
    """The fact after which a fee is due."""

    SALE = "sale"
    LABEL_BOUGHT = "label_bought"
    DECLARATION = "declaration"
    SHIPMENT = "shipment"
    DELIVERY = "delivery"
    RETURN = "return"
    REFUND = "refund"
    TRANSPORT = "transport"
    RECEIPT = "receipt"
    REMOVAL = "removal"
    CONTACT = "contact"
    CONVERSION = "conversion"
    MONTH_END = "month_end"


class PlaceKind(StrEnum):
    """What kind of building stock lies in."""

    FULFILMENT_CENTRE = "fulfilment_centre"
    OVERSEAS_WAREHOUSE = "overseas_warehouse"
    BONDED_WAREHOUSE = "bonded_warehouse"
    BULK_WAREHOUSE = "bulk_warehouse"
    MERCHANT_SITE = "merchant_site"


class CustomsStatus(StrEnum):
    """Whether goods may move freely where they lie."""

    FREE = "free"
    BONDED = "bonded"
    TRANSIT = "transit"


class CustodyPoint(StrEnum):
    """Points at which the risk of loss may pass on, in the order in which a unit meets them."""

    ANNOUNCED = "announced"
    PICKUP = "pickup"
    DOCK_SCAN = "dock_scan"
    HAND_OVER = "hand_over"
    DELIVERED = "delivered"


class Need(StrEnum):
    """What must be there before an offer, an order or a shipment may go on."""

    STOCK_IMPORTER = "stock_importer"
    ORDER_IMPORTER = "order_importer"
    IDENTITY = "identity"
    QUOTA = "quota"
    RISK_NOTICE = "risk_notice"
    ELECTRONIC_LABEL = "electronic_label"
    DECLARATION_BEFORE_RELEASE = "declaration_before_release"


class Credential(StrEnum):
    """What a merchant may have to show before a model opens to it."""

    OWN_SITE = "own_site"
    OWN_CARRIER = "own_carrier"
    ACTIVE_SALES_ACCOUNT = "active_sales_account"
    DOMESTIC_AGENT = "domestic_agent"


class TaxHandling(StrEnum):
    """Which rules decide the tax on a sale."""

    SALE_REGIME = "sale_regime"
    CBEC = "cbec"


class DocumentCode(StrEnum):
    """A paper or message that accompanies a shipped unit."""

    LABEL = "label"
    PACKING_LIST = "packing_list"
    COMMERCIAL_INVOICE = "commercial_invoice"
    CUSTOMS_FORM = "customs_form"
    ORDER_DECLARATION = "order_declaration"
    PAYMENT_DECLARATION = "payment_declaration"
    LOGISTICS_DECLARATION = "logistics_declaration"
    DECLARATION_LIST = "declaration_list"


class DocumentNeed(StrEnum):
    """When a document is needed: with every parcel or only across a customs-territory border."""

    ALWAYS = "always"
    BORDER = "border"


class Duty(Struct, frozen=True):
    """One line of a declaration: `role` does `step`, on one leg or all of the step's, in one channel or all of the model's."""

    step: Step
    role: Role
    leg: Leg | None = None
    channel: Channel | None = None
    note: str = ""


class Fee(Struct, frozen=True):
    """One fee, the fact that makes it due, and the channels in which it is charged (empty: all of the model's)."""

    code: FeeCode
    trigger: FeeTrigger
    channels: frozenset[Channel] = frozenset()


class Document(Struct, frozen=True):
    """One document and who provides it."""

    code: DocumentCode
    role: Role
    need: DocumentNeed = DocumentNeed.ALWAYS


class Regime(Struct, frozen=True):
    """The customs procedure that stock of one kind of place follows."""

    code: str
    place_kind: PlaceKind
    stock_importer: Role
    customs_status: CustomsStatus


class Obstacle(Struct, frozen=True):
    """Why a model does not open to a merchant, and what would change that."""

    field: str
    value: str
    remedy: str


class Admission(Struct, frozen=True):
    """Who may open a model, in words and as data."""

    text: str
    barred_countries: frozenset[str] = frozenset()
    credentials: frozenset[Credential] = frozenset()

    def obstacles(self, country_code: str, credentials: frozenset[Credential]) -> tuple[Obstacle, ...]:
        """Return what keeps a merchant of this country with these credentials out; nothing means it may open the model."""
        barred = (
            (Obstacle("country_code", country_code, f"Choose a model that is open to merchants registered in {country_code}."),)
            if country_code in self.barred_countries
            else ()
        )
        missing = sorted(self.credentials - credentials)
        return barred + tuple(
            Obstacle("credential", credential, f"Record the merchant's {credential.replace('_', ' ')} first.") for credential in missing
        )


class Stores(Struct, frozen=True):
    """The marketplaces a model may sell in: only those named, or all but those named."""

    only: frozenset[str] = frozenset()
    but: frozenset[str] = frozenset()

    def hold(self, marketplace_code: str) -> bool:
        """Tell whether the model may sell in the marketplace."""
        return marketplace_code not in self.but and (not self.only or marketplace_code in self.only)


class OperationModel(Struct, frozen=True):
    """Who does what: a declaration that loads only if every step has exactly one doer."""

    code: str
    title: str
    version: int
    admission: Admission
    stores: Stores
    channels: frozenset[Channel]
    duties: tuple[Duty, ...]
    fees: tuple[Fee, ...]
    documents: tuple[Document, ...]
    stores_in: frozenset[PlaceKind]
    ships_from: frozenset[PlaceKind]
    loss_bearing_from: CustodyPoint
    loss_bearing_to: CustodyPoint
    tax_handling: TaxHandling
    required_roles: frozenset[Role]
    suits: str
    needs: frozenset[Need] = frozenset()
    regimes: tuple[Regime, ...] = ()
    merchant_may_take_over: frozenset[Step] = frozenset()
    label_for_sale: bool = False
    reimbursed_units_change_owner: bool = False
    answer_language: str = ""

    def __post_init__(self) -> None:
        """Refuse a declaration that is not total or contradicts itself."""
        expand_duties(self)
        _check_places(self)
        _check_fees(self)
        _check_roles(self)


Cell = tuple[Step, Leg, Channel]


def cells_of(channels: Iterable[Channel]) -> tuple[Cell, ...]:
    """Return every (step, leg, channel) that a model with these channels must answer, in the order of the matrix."""
    ordered = sorted(channels, key=list(Channel).index)
    return tuple((step, leg, channel) for step in Step for leg in STEP_LEGS[step] for channel in ordered)


def expand_duties(model: OperationModel) -> Mapping[Cell, Duty]:
    """Return the one duty of each cell, or raise BrokenDeclarationError naming model, step, leg and channel."""
    table: dict[Cell, Duty] = {}
    for duty in model.duties:
        for cell in _cells_of_duty(model, duty):
            if cell in table:
                raise _broken(model, cell, "declared twice", "Let exactly one line name the doer.")
            table[cell] = duty
    for cell in cells_of(model.channels):
        if cell not in table:
            raise _broken(model, cell, "nobody named", "Add a line that names the doer.")
    return MappingProxyType(table)


def _cells_of_duty(model: OperationModel, duty: Duty) -> list[Cell]:
    """Return the cells that one line of the declaration answers."""
    legs = STEP_LEGS[duty.step] if duty.leg is None else (duty.leg,)
    channels = sorted(model.channels) if duty.channel is None else [duty.channel]
    cells = [(duty.step, leg, channel) for leg in legs for channel in channels]
    for cell in cells:
        if cell[1] not in STEP_LEGS[duty.step]:
            raise _broken(model, cell, "no such leg", f"{duty.step} happens on {', '.join(STEP_LEGS[duty.step])}.")
        if cell[2] not in model.channels:
            raise _broken(model, cell, "no such channel", f"The model sells through {', '.join(sorted(model.channels))}.")
    return cells


def _broken(model: OperationModel, cell: Cell, fault: str, remedy: str) -> BrokenDeclarationError:
    """Return the error for one cell of a declaration."""
    step, leg, channel = cell
    return BrokenDeclarationError(f"{model.code}.duties", f"{fault}: model {model.code}, step {step}, leg {leg}, channel {channel}", remedy)


def _check_places(model: OperationModel) -> None:
    """Refuse a model without channels or places, or one that ships from where it does not store."""
    if not model.channels:
        raise BrokenDeclarationError(f"{model.code}.channels", "none", "Name at least one channel.")
    if not model.ships_from or not model.ships_from <= model.stores_in:
        raise BrokenDeclarationError(f"{model.code}.ships_from", sorted(model.ships_from), "Ship from kinds of place the model stores in.")
    kinds = [regime.place_kind for regime in model.regimes]
    if len(set(kinds)) != len(kinds) or not set(kinds) <= model.stores_in:
        raise BrokenDeclarationError(f"{model.code}.regimes", sorted(kinds), "Give each kind of place at most one customs regime.")
    points = list(CustodyPoint)
    if points.index(model.loss_bearing_from) >= points.index(model.loss_bearing_to):
        raise BrokenDeclarationError(f"{model.code}.loss_bearing_from", model.loss_bearing_from, "Let loss bearing begin before it ends.")


def _check_fees(model: OperationModel) -> None:
    """Refuse a fee that is named twice for one fact or charged in a channel the model does not have."""
    named = [(fee.code, fee.trigger) for fee in model.fees]
    if len(set(named)) != len(named):
        raise BrokenDeclarationError(f"{model.code}.fees", sorted(named), "Name each fee once per trigger.")
    for fee in model.fees:
        if not fee.channels <= model.channels:
            raise BrokenDeclarationError(f"{model.code}.fees", fee.code, "Charge fees only in channels of the model.")


def _check_roles(model: OperationModel) -> None:
    """Refuse a model that hands duties or documents to platform parties which it does not require to be registered."""
    asked = (
        {duty.role for duty in model.duties} | {document.role for document in model.documents} | {regime.stock_importer for regime in model.regimes}
    )
    unfilled = (asked & PLATFORM_ROLES) - model.required_roles
    if unfilled or not model.required_roles <= PLATFORM_ROLES:
        raise BrokenDeclarationError(
            f"{model.code}.required_roles",
            sorted(unfilled or model.required_roles),
            "Require every platform role that has a duty, and no other kind.",
        )
    stock_role = {duty.role for duty in model.duties if duty.step is Step.IMPORT_STOCK}
    if (Role.REGIME_DECIDES in stock_role) != bool(model.regimes):
        raise BrokenDeclarationError(
            f"{model.code}.regimes", len(model.regimes), "Declare regimes exactly when a regime decides on the stock's importer."
        )
