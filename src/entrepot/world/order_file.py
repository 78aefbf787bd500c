"""Pass 1 of an order import: read and check a merchant's whole file (CSV, also gzip or xz) and write nothing.

The file is gone through twice as a stream. First its bytes: container, encoding, zero bytes, end. Then its records: header, fields, lines.
Encoding: a byte order mark of UTF-8 is honoured; without one the file is UTF-8 if all of it decodes as UTF-8, else Windows-1252.
Delimiter: whichever of comma, semicolon and tab the header line holds most often.
"""

import codecs
import csv
import gzip
import hashlib
import io
import lzma
import re
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct, field

from entrepot.base.errors import RefusedInputError, UnknownReferenceError
from entrepot.base.money import decimals_of
from entrepot.base.time import UnknownTimeZoneError
from entrepot.world.order_drafts import BusinessDay, BuyerDraft, ProductDraft, group_days, list_buyers, list_products
from entrepot.world.order_lines import (
    FileLine,
    LineForm,
    LineReason,
    RawLine,
    RefusedLine,
    RefuseSale,
    accept_any,
    classify_lines,
    known_countries,
    read_number,
    shift_lines,
)

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "order_number": ("ordernumber", "orderno", "orderid", "order", "invoiceno", "invoice", "invoicenumber", "amazonorderid"),
    "sku": ("sku", "stockcode", "productcode", "itemcode", "productid", "sellersku"),
    "description": ("description", "title", "productname", "itemname", "producttitle", "name"),
    "quantity": ("quantity", "qty", "units", "quantitypurchased", "lineitemquantity"),
    "ordered_at": ("orderedat", "orderdate", "invoicedate", "purchasedate", "date", "createdat"),
    "unit_price": ("unitprice", "price", "itemprice", "lineitemprice"),
    "customer": ("customer", "customerid", "customerno", "customernumber", "buyer", "buyerid"),
    "country": ("country", "shipcountry", "shippingcountry", "destination", "countrycode"),
}
"""Meaning of a column and the names by which it is known, in lower case without spaces and signs."""

_CHUNK_BYTES: Final = 1 << 20
_UNDEFINED_1252: Final = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
_NOT_NAME: Final = re.compile(r"[^a-z0-9]+")
_STREAM_ERRORS: Final = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)


class OrderFileMissingError(UnknownReferenceError):
    """There is no readable file at this path."""


class NotACsvFileError(RefusedInputError):
    """The file is not a table of comma-separated values."""


class EncodingNotReadableError(RefusedInputError):
    """The file's characters are neither UTF-8 nor Windows-1252."""


class HeaderMissingError(RefusedInputError):
    """The first line of the file does not name its columns."""


class ColumnMissingError(RefusedInputError):
    """The file lacks a column that an order import needs."""


class ColumnAmbiguousError(RefusedInputError):
    """Several columns of the file could mean the same."""


class ColumnMapNotReadableError(RefusedInputError):
    """The column map does not read as `meaning=column` pairs."""


class FileCutShortError(RefusedInputError):
    """The file ends in the middle; a part of it is missing."""


class FileWithoutLinesError(RefusedInputError):
    """The file names its columns but holds no line."""


class DateMode(StrEnum):
    """What becomes of the file's dates: moved so that the last day is yesterday, or kept."""

    SHIFT = "shift"
    KEEP = "keep"


class ReadOptions(Struct, frozen=True):
    """How to read a file; `today` is the business date on which the import began, so that a resumed import reads the same."""

    today: date
    currency: str = "GBP"
    date_mode: DateMode = DateMode.SHIFT
    column_map: Mapping[str, str] = field(default_factory=dict[str, str])
    country_codes: Mapping[str, str] = field(default_factory=dict[str, str])
    time_zone: str = "UTC"
    date_format: str = ""
    served_countries: frozenset[str] | None = None
    refuse_sale: RefuseSale = accept_any
    limit: int | None = None


class FileFacts(Struct, frozen=True):
    """What the bytes of a file say: encoding, hash of the content, and whether its last line is ended."""

    encoding: str
    content_hash: str
    is_last_line_ended: bool


class Header(Struct, frozen=True):
    """The column names as found, the delimiter, and the position of each meaning."""

    names: tuple[str, ...]
    delimiter: str
    positions: Mapping[str, int]


class _Lines(Struct):
    """What the records of a file hold, in the file's order, while they are being read."""

    header: Header
    lines: list[FileLine] = field(default_factory=list[FileLine])
    refused: list[RefusedLine] = field(default_factory=list[RefusedLine])
    count: int = 0

    def add(self, line: FileLine | RefusedLine) -> None:
        """Keep a line with those of its kind."""
        self.count += 1
        if isinstance(line, FileLine):
            self.lines.append(line)
        else:
            self.refused.append(line)

    def value(self, currency: str) -> Decimal:
        """Return the signed value of all lines in major units."""
        well_formed = Decimal(sum(line.value_minor for line in self.lines)).scaleb(-decimals_of(currency))
        return well_formed + sum((line.value for line in self.refused), Decimal(0))


class CheckedFile(Struct, frozen=True):
    """A whole file whose bytes, header and fields are in order."""

    facts: FileFacts
    read: _Lines


class ReadFile(Struct, frozen=True):
    """A whole file, read and decided; money in minor units of `currency`, refused value exact in major units."""

    facts: FileFacts
    header: Header
    currency: str
    shift_days: int
    lines_read: int
    days: tuple[BusinessDay, ...]
    products: tuple[ProductDraft, ...]
    buyers: tuple[BuyerDraft, ...]
    refused: tuple[RefusedLine, ...]
    sale_count: int
    charge_count: int
    return_count: int
    adjustment_count: int
    accepted_minor: int
    returned_minor: int
    file_value: Decimal

    @property
    def imported_count(self) -> int:
        """Lines that are imported: sales, charges, returns and adjustments."""
        return self.sale_count + self.charge_count + self.return_count + self.adjustment_count

    @property
    def refused_value(self) -> Decimal:
        """Signed value of all refused lines."""
        return sum((line.value for line in self.refused), Decimal(0))

    @property
    def refused_counts(self) -> dict[str, int]:
        """Refused lines by reason, sorted by reason."""
        counts: dict[str, int] = {}
        for line in self.refused:
            counts[line.reason] = counts.get(line.reason, 0) + 1
        return dict(sorted(counts.items()))

    @property
    def is_balanced(self) -> bool:
        """Whether accepted - returned + refused is exactly the value of the file."""
        kept = Decimal(self.accepted_minor - self.returned_minor).scaleb(-decimals_of(self.currency))
        return kept + self.refused_value == self.file_value


def parse_column_map(text: str) -> dict[str, str]:
    """Read `order_number=InvoiceNo,sku=Item` as column names by meaning."""
    named: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        meaning, sign, column = (piece.strip() for piece in part.partition("="))
        if not sign or not column or meaning not in COLUMNS or meaning in named:
            raise ColumnMapNotReadableError("map", part, f"Write meaning=column once for each of: {', '.join(COLUMNS)}.")
        named[meaning] = column
    return named


def read_order_file(path: Path, options: ReadOptions) -> ReadFile:
    """Read, check and decide the whole file at `path`; nothing is written, and any doubt about the file itself refuses it."""
    return decide_lines(read_lines(path, options), options)


def read_lines(path: Path, options: ReadOptions) -> CheckedFile:
    """Read and check the whole file at `path`, before anybody knows which lines the rules in force allow."""
    decimals_of(options.currency)
    zone = _zone(options.time_zone)
    facts = inspect_file(path)
    read = _read_lines(path, facts, options, zone)
    if not read.count:
        raise FileWithoutLinesError("file", str(path), "Export the orders again, with at least one line below the header.")
    return CheckedFile(facts, read)


def first_date(checked: CheckedFile, options: ReadOptions) -> date:
    """Return the date of the earliest line as it will be played; without any well-formed line, today."""
    dates = [line.on for line in checked.read.lines]
    return min(dates) + timedelta(days=_shift_days(dates, options)) if dates else options.today


def _shift_days(dates: Sequence[date], options: ReadOptions) -> int:
    return (options.today - timedelta(days=1) - max(dates)).days if dates and options.date_mode is DateMode.SHIFT else 0


def decide_lines(checked: CheckedFile, options: ReadOptions) -> ReadFile:
    """Decide every line of a checked file by the options' rules; a checked file is decided once."""
    facts, read, zone = checked.facts, checked.read, _zone(options.time_zone)
    file_value, shift_days = read.value(options.currency), _shift_days([line.on for line in read.lines], options)
    lines = shift_lines(read.lines, shift_days, zone)
    read.lines.clear()
    found = classify_lines(lines, options.currency, options.served_countries, options.refuse_sale)
    return ReadFile(
        facts=facts,
        header=read.header,
        currency=options.currency,
        shift_days=shift_days,
        lines_read=read.count,
        days=group_days(found),
        products=list_products(found),
        buyers=list_buyers(found),
        refused=tuple(sorted([*read.refused, *found.refused], key=lambda refused: refused.line_no)),
        sale_count=len(found.sales),
        charge_count=len(found.charges),
        return_count=len(found.returns),
        adjustment_count=len(found.adjustments),
        accepted_minor=sum(line.value_minor for line in found.sales) + sum(line.value_minor for line in found.charges),
        returned_minor=-sum(returned.line.value_minor for returned in found.returns),
        file_value=file_value,
    )


def inspect_file(path: Path) -> FileFacts:
    """Go through all bytes: refuse a broken container, zero bytes and unreadable characters."""
    digest, utf8, is_utf8, has_undefined = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), True, False
    first, last, line_bytes = b"", b"", 0
    with _open_bytes(path) as stream:
        for chunk in _chunks(stream, path):
            first, last = first or chunk[:4], chunk[-1:]
            digest.update(chunk)
            has_undefined = has_undefined or len(chunk.translate(None, _UNDEFINED_1252)) < len(chunk)
            is_utf8 = is_utf8 and _decodes(utf8, chunk)
            line_bytes = 0 if b"\n" in chunk or b"\r" in chunk else line_bytes + len(chunk)
            if first[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
                raise EncodingNotReadableError("file", str(path), "It is UTF-16; save it as UTF-8.")
            if b"\x00" in chunk or line_bytes > _CHUNK_BYTES:
                raise NotACsvFileError("file", str(path), "Export the orders as CSV; this is a binary file.")
    if not first:
        raise HeaderMissingError("file", str(path), "The file is empty; export the orders again.")
    is_utf8 = is_utf8 and not utf8.getstate()[0]
    if not is_utf8 and has_undefined:
        raise EncodingNotReadableError("file", str(path), "Save it as UTF-8.")
    encoding = "cp1252" if not is_utf8 else "utf-8-sig" if first.startswith(codecs.BOM_UTF8) else "utf-8"
    return FileFacts(encoding, digest.hexdigest(), last in {b"\n", b"\r"})


def write_refused(path: Path, target: Path, reasons: Mapping[int, str]) -> int:
    """Copy the lines of `reasons` (by line number) from the file to `target` as CSV, line and reason first; return how many."""
    facts, written = inspect_file(path), 0
    with _open_records(path, facts) as (_, header, records), target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["line", "reason", *header])
        for line_no, record in records:
            if line_no in reasons:
                writer.writerow([line_no, reasons[line_no], *record])
                written += 1
    return written


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise UnknownTimeZoneError("time_zone", name, "Give an IANA name such as Europe/London.") from None


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes) -> bool:
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _open_bytes(path: Path) -> Generator[BinaryIO]:
    """Open the content whatever its container, which its first bytes tell."""
    try:
        raw = path.open("rb")
    except OSError as cause:
        raise OrderFileMissingError("file", str(path), f"Give the path of a file that can be read ({cause.strerror}).") from None
    with raw:
        magic = raw.read(6)
        raw.seek(0)
        if magic.startswith(b"\x1f\x8b"):
            with gzip.open(raw) as unpacked:
                yield cast("BinaryIO", unpacked)
        elif magic == b"\xfd7zXZ\x00":
            with lzma.open(raw) as unpacked:
                yield cast("BinaryIO", unpacked)
        else:
            yield raw


def _chunks(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
    except _STREAM_ERRORS:
        raise FileCutShortError("file", str(path), "Its compressed content is broken or incomplete; copy it again.") from None


@contextmanager
def _open_records(path: Path, facts: FileFacts) -> Generator[tuple[str, list[str], Iterator[tuple[int, list[str]]]]]:
    """Open an inspected file: delimiter, first record, and each further record with the number of its last line."""
    with _open_bytes(path) as stream, io.TextIOWrapper(stream, encoding=facts.encoding, newline="") as text:
        first = text.readline()
        delimiter = max(",;\t", key=first.count)
        records = _records(chain([first], text), delimiter, path)
        _, names = next(records, (0, list[str]()))
        yield delimiter, names, records


def _records(text: Iterable[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for record in reader:
            if len(record) > 1 or (record and record[0].strip()):
                yield reader.line_num, record
    except csv.Error as cause:
        if "unexpected end of data" in str(cause):
            raise FileCutShortError("file", str(path), f"A quote is open where line {reader.line_num} ends; export the orders again.") from None
        raise NotACsvFileError("file", str(path), f"Line {reader.line_num} is no CSV ({cause}); quote fields that hold signs.") from None


def read_header(names: Sequence[str], delimiter: str, column_map: Mapping[str, str], path: Path) -> Header:
    """Find each meaning's column by name, the caller's map first, or refuse the file and name the column."""
    found = [name.strip() for name in names]
    known = {_plain(name): name for name in found}
    wanted = {meaning: (_plain(column_map[meaning]),) if meaning in column_map else aliases for meaning, aliases in COLUMNS.items()}
    matches = {meaning: [i for i, name in enumerate(found) if _plain(name) in aliases] for meaning, aliases in wanted.items()}
    if not any(matches.values()):
        if len(found) < 2 or found[0][:1] in {"{", "[", "<", "%"}:
            raise NotACsvFileError("file", str(path), "Its first line is no list of names with comma, semicolon or tab; export the orders as CSV.")
        if len(known) < len(found) or any(read_number(name) is not None for name in found):
            raise HeaderMissingError("header", ", ".join(found), f"Begin the file with a line that names the columns: {', '.join(COLUMNS)}.")
    for meaning, positions in matches.items():
        if not positions:
            said = column_map.get(meaning, meaning)
            raise ColumnMissingError(
                meaning,
                said,
                f"Found: {', '.join(found)}. Add the column (known as {', '.join(wanted[meaning])}) or name it with --map {meaning}=COLUMN.",
            )
        if len(positions) > 1:
            both = ", ".join(found[i] for i in positions)
            raise ColumnAmbiguousError(meaning, both, f"Say which one it is with --map {meaning}=COLUMN.")
    return Header(tuple(found), delimiter, {meaning: positions[0] for meaning, positions in matches.items()})


def _plain(name: str) -> str:
    return _NOT_NAME.sub("", name.lower())


def _read_lines(path: Path, facts: FileFacts, options: ReadOptions, zone: ZoneInfo) -> _Lines:
    form = LineForm(
        options.currency, known_countries() | {name.lower(): code for name, code in options.country_codes.items()}, zone, options.date_format
    )
    with _open_records(path, facts) as (delimiter, names, records):
        header = read_header(names, delimiter, options.column_map, path)
        order = [header.positions[meaning] for meaning in COLUMNS]
        width, read = len(header.names), _Lines(header)
        last: FileLine | RefusedLine | None = None
        last_record: list[str] = []
        for line_no, last_record in records:
            if options.limit is not None and read.count >= options.limit:
                last = None
                continue
            if len(last_record) == width:
                last = form.read(RawLine(line_no, *[last_record[position] for position in order]))
            else:
                last = RefusedLine(line_no, str(LineReason.FIELD_COUNT_WRONG), Decimal(0))
            read.add(last)
    _require_whole(path, facts, width, last_record, last)
    return read


def _require_whole(path: Path, facts: FileFacts, width: int, record: list[str], last: FileLine | RefusedLine | None) -> None:
    """Refuse a file whose last record is incomplete; without a line end, one that cannot be read counts as incomplete."""
    is_short = 0 < len(record) < width
    is_doubtful = not facts.is_last_line_ended and (isinstance(last, RefusedLine) or (last is not None and not last.country_code))
    if is_short or is_doubtful:
        raise FileCutShortError("file", str(path), f"Its last line is incomplete ({', '.join(record)}); export or copy it again.")
