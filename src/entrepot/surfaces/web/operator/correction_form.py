"""The form of a correction: entries as accountants type them, with everything that is wrong beside its field."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from litestar.datastructures import MultiDict
from msgspec import Struct

from entrepot.base.money import CURRENCY_DECIMALS, TooManyDecimalsError, major, parse_minor
from entrepot.books.money.correction import MOST_ENTRIES, Fault, FaultAt, faults_of
from entrepot.books.money.model import Entry
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.words import money

_ROWS: Final = 4
_AMOUNT: Final = re.compile(r"\d{1,13}(\.\d{1,4})?")
_LONGEST: Final = 120
_TOLD: Final[Mapping[Fault, str]] = {
    Fault.NO_REASON: mark("Write why the posting is corrected."),
    Fault.REASON_TOO_LONG: mark("Write at most %(told)s characters."),
    Fault.TOO_FEW_ENTRIES: mark("A correction has at least two entries."),
    Fault.TOO_MANY_ENTRIES: mark("A correction has at most %(told)s entries."),
    Fault.NOTHING_MOVED: mark("Write an amount greater than zero."),
    Fault.UNKNOWN_ACCOUNT: mark("No book has an account of this code. Choose one from the list."),
    Fault.PROVEN_ELSEWHERE: mark("This account is proven against payments and orders. Use a refund, a capture or a cancellation."),
    Fault.UNBALANCED: mark("Debits and credits in %(currency)s differ by %(difference)s."),
}


class TypedRow(Struct, frozen=True):
    """An entry as it was typed, with what is wrong with its fields, in the visitor's language."""

    account: str = ""
    currency: str = ""
    debit: str = ""
    credit: str = ""
    faults: Mapping[str, str] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed that makes an entry."""
        return not (self.account or self.debit or self.credit)


class CorrectionForm(Struct, frozen=True):
    """The whole form: rows, reason, the key that makes sending twice one, and what is wrong with reason and sums."""

    rows: tuple[TypedRow, ...]
    reason: str
    request_key: str
    entries: tuple[Entry, ...] = ()
    reason_fault: str = ""
    whole_faults: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.reason_fault or self.whole_faults or any(row.faults for row in self.rows))


def form_of(entries: Sequence[Entry], currency: str, request_key: str) -> CorrectionForm:
    """Return a form that proposes these entries, with some empty rows below."""
    rows = [TypedRow(one.account_code, one.currency, *_sides(one)) for one in entries]
    rows += [TypedRow(currency=currency)] * max(1, _ROWS - len(rows))
    return CorrectionForm(tuple(rows), "", request_key)


def _sides(entry: Entry) -> tuple[str, str]:
    text = f"{abs(major(entry.amount_minor, entry.currency)):f}"
    return (text, "") if entry.amount_minor > 0 else ("", text)


def read_correction(sent: MultiDict[str], known_accounts: Collection[str], language: Language) -> CorrectionForm:
    """Return what was sent with all that is wrong with it; rows in which nothing was typed are passed over."""
    columns = [sent.getall(name, [])[: MOST_ENTRIES + _ROWS] for name in ("account", "currency", "debit", "credit")]
    typed = [TypedRow(*(text.strip()[:_LONGEST] for text in values)) for values in zip(*columns, strict=False)]
    checked = [_checked(row, language) for row in typed]
    entries = [(place, entry) for place, (_, entry) in enumerate(checked) if entry is not None]
    is_whole = len(entries) == sum(not row.is_empty for row in typed)
    found = faults_of(sent.get("reason", ""), [entry for _, entry in entries], known_accounts)
    rows = [_account_judged(row, known_accounts, language) if entry is None else row for row, entry in checked]
    for fault in found:
        if fault.entry_no is not None:
            place = entries[fault.entry_no][0]
            field = "debit" if fault.fault is Fault.NOTHING_MOVED else "account"
            rows[place] = _with(rows[place], field, _told(language, fault))
    reason = next((_told(language, one) for one in found if one.fault in {Fault.NO_REASON, Fault.REASON_TOO_LONG}), "")
    whole = [one for one in found if one.fault in {Fault.TOO_FEW_ENTRIES, Fault.TOO_MANY_ENTRIES, Fault.UNBALANCED}] if is_whole else []
    return CorrectionForm(
        tuple(rows) or (TypedRow(),) * _ROWS,
        sent.get("reason", ""),
        sent.get("request_key", "")[:_LONGEST],
        tuple(entry for _, entry in entries),
        reason,
        tuple(_told(language, one) for one in whole),
    )


def _checked(row: TypedRow, language: Language) -> tuple[TypedRow, Entry | None]:
    """Return a row with what cannot be read in it, and its entry if all can."""
    _ = language.gettext
    if row.is_empty:
        return row, None
    if not row.account:
        row = _with(row, "account", _("Choose an account."))
    if row.currency not in CURRENCY_DECIMALS:
        row = _with(row, "currency", _("Use a currency code such as EUR."))
    sides = [name for name in ("debit", "credit") if getattr(row, name)]
    if len(sides) != 1:
        return _with(row, "debit", _("Fill in either debit or credit.")), None
    side, text = sides[0], str(getattr(row, sides[0])).replace(",", ".")
    if not _AMOUNT.fullmatch(text):
        return _with(row, side, _("Write an amount such as 12.50.")), None
    if row.faults:
        return row, None
    try:
        minor = parse_minor(text, row.currency)
    except TooManyDecimalsError:
        return _with(row, side, _("%(currency)s has fewer decimals.", currency=row.currency)), None
    return row, Entry(row.account, row.currency, minor if side == "debit" else -minor)


def _account_judged(row: TypedRow, known_accounts: Collection[str], language: Language) -> TypedRow:
    """Return a row whose amount cannot be read, with what is wrong with its account, so that both are told at once."""
    if not row.account:
        return row
    found = [one for one in faults_of("-", [Entry(row.account, "EUR", 1)], known_accounts) if one.entry_no is not None]
    return _with(row, "account", _told(language, found[0])) if found else row


def _with(row: TypedRow, field: str, told: str) -> TypedRow:
    return TypedRow(row.account, row.currency, row.debit, row.credit, {**row.faults, field: told})


def _told(language: Language, fault: FaultAt) -> str:
    """Return a fault in words."""
    if fault.fault is Fault.UNBALANCED:
        return language.gettext(_TOLD[fault.fault], currency=fault.told, difference=money(language, abs(fault.minor), fault.told))
    return language.gettext(_TOLD[fault.fault], told=fault.told)
