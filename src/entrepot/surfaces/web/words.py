"""How pages say things in a visitor's language: codes as words, states as tones, money, numbers, dates and countries as people write them."""

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, cast

from babel import Locale
from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_name
from markupsafe import Markup
from msgspec.structs import replace

from entrepot.base.errors import EntrepotError
from entrepot.base.money import decimals_of, major
from entrepot.freight.cards import read_carriers
from entrepot.orders.model import OrderState
from entrepot.parties.people import OpenedAddress
from entrepot.parties.postal import address_lines as written_address
from entrepot.surfaces.web.languages import Language, mark
from entrepot.warehouse.model import bin_of

_UNPARTED: Final = frozenset({"CN", "HK", "JP", "KR", "TW"})
_UNBROKEN: Final = "\u00a0"
_MINUS: Final = "\u2212"
_NOTHING: Final = "\u2013"
_BRAND: Final = "Entrepot Demo "
_HOUR: Final = 60
_WRITTEN: Final = "en"
_BETWEEN: Final = re.compile(r", (?![^(]*\))")
_PART: Final = re.compile(r"(?:(?P<what>[^:()]+): )?(?P<name>[^()]+?)(?: \((?P<when>[^)]*)\))?")
_BRACKET: Final = re.compile(r" \(|\uff08")
_TAG: Final = re.compile(r"[a-z]{2}-[A-Z][a-z]{3}")
_SUBJECT_AT: Final = 3
_ABBREVIATED: Final = 3
"""Codes of so few letters are abbreviations."""
_DAY: Final = {"en": "EEE d MMM y", "de": "EEE, d. MMM y", "zh_Hans": "y年M月d日EEE"}
_SHORT_DAY: Final = {"en": "EEE d MMM", "de": "EEE, d. MMM", "zh_Hans": "M月d日EEE"}
_LONG_DAY: Final = {"en": "d MMMM", "de": "d. MMMM", "zh_Hans": "M月d日"}
_DATE: Final = {"en": "d MMM y", "de": "d. MMM y", "zh_Hans": "y年M月d日"}
_PERCENT: Final = {"en": "#,##0.##%", "de": "#,##0.##\u00a0%", "zh_Hans": "#,##0.##%"}
_DATE_END: Final = {"en": ", ", "de": ", ", "zh_Hans": " "}
"""What stands between a date and its time."""
_BRIEF_DATE: Final = {"en": "d MMM", "de": "d. MMM", "zh_Hans": "M月d日"}

_TONES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("awaiting_payment", "customs_hold", "held", "exception", "returning", "limit_reached", "part_shipped", "pending"), "warning"),
    **dict.fromkeys(("requested", "carried", "suspended", "paused", "late", "short", "attention"), "warning"),
    **dict.fromkeys(("paid", "in_work", "released_to_work", "labelled", "submitted", "drafted", "planned", "queued", "announced", "open"), "info"),
    **dict.fromkeys(
        ("shipped", "handed_over", "in_transit", "out_for_delivery", "part_delivered", "picking", "picked", "packed", "receiving"), "progress"
    ),
    **dict.fromkeys(("delivered", "settled", "released", "captured", "hit", "posted", "post", "chosen", "live", "active"), "success"),
    **dict.fromkeys(("approved", "graded", "sent", "done"), "success"),
    **dict.fromkeys(("lost", "destroyed", "refused", "declined", "miss", "void", "broken", "expired", "failed", "rejected"), "danger"),
}

_STATE_WORDS: Final[Mapping[str, str]] = {"hit": mark("Kept"), "miss": mark("Missed"), "post": mark("Posted")}
_CODE_WORDS: Final[Mapping[str, str]] = {
    "free": mark("Free circulation"),
    "eori": mark("EORI"),
    "vat": mark("VAT number"),
    "sales_tax": mark("Sales tax"),
    "dvd": mark("DVD"),
    "collect": mark("Collection"),
    "warn_ship_by": mark("Remind of the ship-by time"),
    "kyc_submitted": mark("Check submitted"),
    "kyc_approved": mark("Check approved"),
    "kyc_rejected": mark("Check rejected"),
    "cbec": mark("Cross-border e-commerce (China)"),
    "cbec_withheld": mark("CBEC, withheld"),
    "appliances_compact": mark("Small appliances"),
    "appliances_full_size": mark("Large appliances"),
    "backpacks_handbags_luggage": mark("Bags and luggage"),
    "base_equipment_power_tools": mark("Power tools"),
    "beauty_health_and_personal_care": mark("Beauty, health and personal care"),
    "business_industrial_and_scientific": mark("Business, industry and science"),
    "musical_instruments_and_av_production": mark("Musical instruments and AV production"),
}
_NAMING: Final = frozenset({"open_model", "add_registration", "add_bank_account"})
"""Commands whose codes name their subject behind them."""

ORDER_WAY: Final = (
    (OrderState.AWAITING_PAYMENT, mark("Placed")),
    (OrderState.PAID, mark("Paid")),
    (OrderState.IN_WORK, mark("In work")),
    (OrderState.SHIPPED, mark("Shipped")),
    (OrderState.DELIVERED, mark("Delivered")),
    (OrderState.SETTLED, mark("Settled")),
)
"""The way of an order as its stepper shows it."""

_ACCOUNTS: Final[Mapping[str, str]] = {
    "psp": mark("Payment provider"),
    "bank": mark("Bank"),
    "mer": mark("Payable to merchants"),
    "rsv": mark("Reserve of merchants"),
    "broker": mark("Customs broker"),
    "fxclr": mark("Exchange clearing"),
    "buyer_refund": mark("Refunds to buyers"),
    "loss": mark("Losses borne"),
    "rounding": mark("Rounding"),
    "variance": mark("Quoted against assessed"),
    "channel": mark("Other channels"),
}
_ACCOUNT_FAMILIES: Final[Mapping[str, str]] = {
    "fee": mark("Fee"),
    "fee_tax": mark("Tax on fees"),
    "tax": mark("Tax on sales"),
    "duty": mark("Duty"),
    "import_tax": mark("Import tax"),
    "cbec_tax": mark("Retail import tax"),
    "carrier": mark("Carrier"),
}
_PLACES: Final[Mapping[str, str]] = {
    "@supplier": mark("Supplier"),
    "@word": mark("Merchant's word"),
    "@over_receipt": mark("Over receipt"),
    "@found": mark("Found"),
    "@transit": mark("In transit to us"),
    "@carrier": mark("With a carrier"),
    "@customer": mark("Customer"),
    "@return": mark("On its way back"),
    "@customs": mark("Customs"),
    "@lost": mark("Lost"),
    "@gone": mark("Gone"),
}


def plain_words(code: object) -> str:
    """Return a code as English words: `order_placed` is "Order placed"; in this form the catalogues hold it."""
    text = str(code).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def code_words(code: object) -> str:
    """Return a code as marked English words, by its own where it has some."""
    return _CODE_WORDS.get(str(code), plain_words(code))


def titled(language: Language, name: str, value: str) -> str:
    """Return a name with its value behind it, parted as the language parts them."""
    return language.gettext("%(what)s: %(who)s", what=name, who=value)


def words(language: Language, code: object) -> str:
    """Return a code as words; one that names its subject too, such as `open_model_GB_fba`, by what is known of it."""
    text = code_words(code)
    said = language.gettext(text)
    parts = str(code).split("_")
    if said != text or len(parts) < _SUBJECT_AT:
        return said
    for end in range(len(parts) - 1, 0, -1):
        code_before, rest = "_".join(parts[:end]), parts[end:]
        head = code_words(code_before)
        if code_before in _NAMING or code_before in _CODE_WORDS or (language.code != _WRITTEN and language.gettext(head) != head):
            return (
                language.gettext(head) if all(part.isdigit() for part in rest) else titled(language, language.gettext(head), _subject(language, rest))
            )
    return said


def _subject(language: Language, parts: Sequence[str]) -> str:
    """Return what a code names behind its head: a store's code as it is, then a model by its whole name where the catalogues have one."""
    shown = [part for part in parts if not part.islower()]
    code = "_".join(part for part in parts if part.islower())
    whole = language.gettext(code_words(code)) if code else ""
    if whole == plain_words(code) and len(code) <= _ABBREVIATED:
        whole = code.upper()
    rest = [whole] if whole != plain_words(code) or language.code == _WRITTEN else [language.gettext(code_words(part)) for part in code.split("_")]
    return " ".join(filter(None, (*shown, *rest)))


def state_words(language: Language, state: object) -> str:
    """Return how a state is called on its pill."""
    return language.gettext(_STATE_WORDS.get(str(state), plain_words(state)))


def short_title(title: str) -> str:
    """Return a model's title without what stands in brackets behind it, for tables."""
    return _BRACKET.split(title, maxsplit=1)[0]


def tone(state: object) -> str:
    """Return the tone in which a state is shown."""
    return _TONES.get(str(state), "neutral")


def money(language: Language, minor: int, currency: str) -> str:
    """Return an amount as people write it, with its currency and a true minus sign; currencies that share a sign are told apart (US$, CA$)."""
    told = format_currency(major(minor, currency), currency, locale=language.locale, decimal_quantization=False, currency_digits=True)
    return told.replace("-", _MINUS)


def plain_amount(language: Language, minor: int, currency: str) -> str:
    """Return an amount without its currency, for columns that name it once."""
    decimals = decimals_of(currency)
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return format_decimal(major(minor, currency), format=pattern, locale=language.locale).replace("-", _MINUS)


def currency_name(language: Language, currency: str) -> str:
    """Return a currency's name."""
    return get_currency_name(currency, locale=language.locale)


def number(language: Language, count: int) -> str:
    """Return a whole number with its thousands apart."""
    return format_decimal(count, locale=language.locale).replace("-", _MINUS)


def percent(language: Language, rate: Decimal | None) -> str:
    """Return a rate as per cent, or a dash."""
    return _NOTHING if rate is None else format_percent(rate, format=_PERCENT[language.code], locale=language.locale)


def day(language: Language, on: date | None) -> str:
    """Return a date such as "Tue 8 Sep 2026"."""
    return _NOTHING if on is None else format_date(on, _DAY[language.code], locale=language.locale)


def plain_day(language: Language, on: date | None) -> str:
    """Return a date without its weekday, for rules and periods."""
    return _NOTHING if on is None else format_date(on, _DATE[language.code], locale=language.locale)


def short_day(language: Language, on: date) -> str:
    """Return a date without its year."""
    return format_date(on, _SHORT_DAY[language.code], locale=language.locale)


def long_day(language: Language, on: date) -> str:
    """Return a date for sentences, such as "8 September"."""
    return format_date(on, _LONG_DAY[language.code], locale=language.locale)


def window(language: Language, from_on: date, to_on: date) -> str:
    """Return an arrival window in as few words as it takes; a line may end between its days, not within one."""
    if from_on == to_on:
        return short_day(language, from_on)
    first, last = (short_day(language, one).replace(" ", _UNBROKEN) for one in (from_on, to_on))
    return language.gettext("%(first)s to %(last)s", first=first, last=last)


def when(language: Language, at: datetime | None) -> Markup:
    """Return an instant as a time element: UTC until the browser shows the viewer's own zone, which keeps UTC as its title."""
    if at is None:
        return Markup("&ndash;")
    utc = at.astimezone(UTC)
    shown = format_date(utc.date(), _DATE[language.code], locale=language.locale) + f"{_DATE_END[language.code]}{utc:%H:%M}"
    return Markup('<time datetime="{}" title="{} UTC" data-local>{}</time>').format(utc.isoformat(timespec="seconds"), shown, shown)


def when_brief(language: Language, at: datetime) -> Markup:
    """Return an instant without its year, for feeds."""
    utc = at.astimezone(UTC)
    shown = format_date(utc.date(), _BRIEF_DATE[language.code], locale=language.locale) + f"{_DATE_END[language.code]}{utc:%H:%M}"
    return Markup('<time datetime="{}" title="{} UTC" data-local="brief">{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M:%S}", shown
    )


def country(language: Language, code: str) -> str:
    """Return a country's name, or the code where it is no country."""
    return cast("Mapping[str, str]", language.locale.territories).get(code, code)


def address_lines(language: Language, one: OpenedAddress) -> list[str]:
    """Return an address as it stands on an envelope, its country in the language of the page."""
    lines = written_address(one.facts.country_code, one.facts.zone, one.details) if one.details is not None else []
    return [*lines, country(language, one.facts.country_code)]


def address_text(language: Language, one: OpenedAddress) -> str:
    """Return an address in one line without the recipient's name."""
    unnamed = one if one.details is None else replace(one, details=replace(one.details, recipient=""))
    return (" " if one.facts.country_code in _UNPARTED else ", ").join(address_lines(language, unnamed))


def account(language: Language, code: str) -> str:
    """Return an account's name."""
    family, _, rest = code.partition(".")
    if not rest:
        return language.gettext(_ACCOUNTS.get(code, plain_words(code)))
    name = language.gettext(_ACCOUNT_FAMILIES.get(family, plain_words(family)))
    return titled(language, name, country(language, rest) if len(rest) == 2 else words(language, rest))


def place(language: Language, code: str) -> str:
    """Return a place's name: pseudo places in words, buildings by code."""
    return language.gettext(_PLACES[code]) if code in _PLACES else code


def spot(language: Language, code: str) -> str:
    """Return a spot in a building: a bin by the sign on it, the others in words."""
    return bin_of(code) or (code if ":" in code else words(language, code))


def told(language: Language, error: EntrepotError) -> str:
    """Return what an error means and what to do about it."""
    return language.gettext("%(cause)s %(remedy)s", cause=language.gettext(error.title), remedy=remedy(language, error))


def remedy(language: Language, error: EntrepotError) -> str:
    """Return what to do about an error, its values as people write them."""
    values = {name: _said(language, name, value) for name, value in error.told.items()}
    return language.gettext(error.remedy_text, **values)


def _said(language: Language, name: str, value: object) -> str:
    """Return a value of an error: days, moments and numbers in the language's own form, values of enumerations as words, codes as they are."""
    if isinstance(value, str):
        return _said_text(language, name, value)
    match value:
        case datetime():
            utc = value.astimezone(UTC)
            return f"{format_date(utc.date(), _DATE[language.code], locale=language.locale)}, {utc:%H:%M} UTC"
        case date():
            return format_date(value, _DATE[language.code], locale=language.locale)
        case int():
            return number(language, value)
        case Collection():
            parts = cast("Collection[object]", value)
            return format_list([_said(language, name, part) for part in parts], "or", locale=language.locale)
        case _:
            return str(value)


def _said_text(language: Language, name: str, value: str) -> str:
    """Return a text among the values of an error: its name says what it is."""
    if isinstance(value, StrEnum) or name in {"state", "states"}:
        return state_words(language, value)
    if name == "country":
        return country(language, value)
    return language.gettext(value) if name == "note" else value


def named(language: Language, name: str) -> str:
    """Return the name of a store or a building: in the language where the catalogues have it, as the demo's are, else as it is."""
    return language.gettext(name.removeprefix(_BRAND))


def span(language: Language, minutes: int) -> str:
    """Return a span of minutes, such as "3 h 12 min"."""
    if minutes < _HOUR:
        return language.gettext("%(minutes)s min", minutes=minutes)
    if minutes % _HOUR == 0:
        return language.gettext("%(hours)s h", hours=minutes // _HOUR)
    return language.gettext("%(hours)s h %(minutes)s min", hours=minutes // _HOUR, minutes=minutes % _HOUR)


def declared(language: Language, text: str) -> str:
    """Return what an operation model declares: a sentence of the catalogue, or a list such as "label: merchant (always), storage (month end)" part by part."""
    if text == "-":
        return _NOTHING
    if _TAG.fullmatch(text):
        return Locale.parse(text, sep="-").get_display_name(language.locale) or text
    said = language.gettext(text)
    if said != text or language.code == _WRITTEN or not text[:1].islower():
        return _CODE_WORDS.get(said, said)
    return _listed(language, [_declared_part(language, part) for part in _BETWEEN.split(text)])


def _listed(language: Language, parts: Sequence[str]) -> str:
    """Return parts one behind the other."""
    told = parts[0]
    for part in parts[1:]:
        told = language.gettext("%(first)s, %(second)s", first=told, second=part)
    return told


def _declared_part(language: Language, text: str) -> str:
    """Return one part of such a list: what is declared, who does it, when."""
    found = _PART.fullmatch(text)
    if found is None:
        return language.gettext(text)
    what, name, when_said = found["what"], found["name"], found["when"]
    said = f" {_NOTHING} ".join(language.gettext(plain_words(one)) for one in name.split(" and "))
    if when_said is not None:
        first, *others = (language.gettext(plain_words(one)) for one in when_said.split(", "))
        occasion = language.gettext("%(first)s; %(second)s", first=first, second=others[0]) if others else first
        said = language.gettext("%(name)s (%(when)s)", name=said, when=occasion)
    return language.gettext("%(what)s: %(who)s", what=language.gettext(plain_words(what)), who=said) if what is not None else said


def carrier_name(carrier_code: str) -> str:
    """Return what people call a carrier: its name up to the first comma, or its code where it has no card."""
    card = read_carriers().get(carrier_code)
    return card.name.partition(",")[0] if card is not None else carrier_code


def breakable(code: str) -> Markup:
    """Return a long code that may go on in the next line behind its dots and underscores, and nowhere else."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])", code))


def short_id(value: uuid.UUID) -> str:
    """Return the last digits of an id, enough to tell rows apart."""
    return value.hex[-8:]
