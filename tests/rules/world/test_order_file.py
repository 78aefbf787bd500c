"""A whole order file is read or refused, and nothing is written."""

import csv
import gzip
import lzma
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from entrepot.base.errors import EntrepotError
from entrepot.base.money import UnknownCurrencyError
from entrepot.base.time import UnknownTimeZoneError
from entrepot.world import order_file
from entrepot.world.order_file import DateMode, ReadOptions, inspect_file, parse_column_map, read_order_file, write_refused

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
ROWS = """536365,85123A,"HEART, WHITE",6.0,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,POST,POSTAGE,1,2010-12-01 08:26:00,4.00,17850.0,United Kingdom
536366,71053,LANTERN,2,2010-12-01 08:28:00,3.39,,Germany
536367,71053,LANTERN,2,2010-12-01 08:28:00,0.001,,Germany
C536368,85123a,HEART,-2.0,2010-12-03 10:00:00,2.55,17850.0,United Kingdom
536369,71053,damaged,-1,2010-12-03 11:00:00,0.0,,United Kingdom
"""
OPTIONS = ReadOptions(today=date(2026, 3, 10))


def write(tmp_path: Path, content: str | bytes, name: str = "orders.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_small_file_is_read_and_shifted(tmp_path):
    read = read_order_file(write(tmp_path, HEADER + ROWS), OPTIONS)
    assert (read.lines_read, read.imported_count) == (6, 5)
    assert (read.sale_count, read.charge_count, read.return_count, read.adjustment_count) == (2, 1, 1, 1)
    assert read.refused_counts == {"too_many_decimals": 1}
    assert [(line.line_no, line.value) for line in read.refused] == [(5, Decimal("0.002"))]
    assert (read.accepted_minor, read.returned_minor, read.refused_value) == (1530 + 400 + 678, 510, Decimal("0.002"))
    assert read.file_value == Decimal("20.982")
    assert read.is_balanced
    assert [day.on for day in read.days] == [date(2026, 3, 7), date(2026, 3, 9)]
    assert [product.title for product in read.products] == ["LANTERN", "HEART, WHITE"]


def test_dates_are_kept_on_request(tmp_path):
    read = read_order_file(write(tmp_path, HEADER + ROWS), ReadOptions(today=date(2026, 3, 10), date_mode=DateMode.KEEP))
    assert [day.on for day in read.days] == [date(2010, 12, 1), date(2010, 12, 3)]
    assert read.shift_days == 0


@pytest.mark.parametrize(
    "pack",
    [
        str.encode,
        lambda text: gzip.compress(text.encode()),
        lambda text: lzma.compress(text.encode()),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: text.replace("536366", "\n536366").encode() + b"\n\n",
    ],
    ids=["plain", "gzip", "xz", "byte_order_mark", "windows_lines", "no_last_line_end", "blank_lines"],
)
def test_containers_and_line_ends_change_nothing(tmp_path, pack):
    read = read_order_file(write(tmp_path, pack(HEADER + ROWS)), OPTIONS)
    assert (read.lines_read, read.imported_count, read.file_value) == (6, 5, Decimal("20.982"))
    assert read.header.names[0] == "InvoiceNo"


@pytest.mark.parametrize(("encoding", "found"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252"), ("latin-1", "cp1252")])
def test_encoding_is_found(tmp_path, encoding, found):
    read = read_order_file(write(tmp_path, (HEADER + ROWS.replace("LANTERN", "CAFÉ £5")).encode(encoding)), OPTIONS)
    assert read.facts.encoding == found
    assert read.products[0].title == "CAFÉ £5"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(tmp_path, delimiter):
    text = (HEADER + ROWS.replace('"HEART, WHITE"', "HEART")).replace(",", delimiter)
    assert read_order_file(write(tmp_path, text), OPTIONS).imported_count == 5


def test_columns_by_alias_order_and_map(tmp_path):
    text = "Ship country,Order date,Wer,SKU,Qty,Title,Price,Order No,Note\nFR,2011-01-02,k1,A,1,Cup,2.00,9,x\n"
    path = write(tmp_path, text)
    read = read_order_file(path, ReadOptions(today=date(2026, 3, 10), column_map=parse_column_map("customer=Wer")))
    (order,) = read.days[0].orders
    assert (order.order_number, order.buyer_key, order.country_code, order.lines[0].price_minor) == ("9", "customer:k1", "FR", 200)


def test_own_country_names(tmp_path):
    text = (HEADER + ROWS).replace("Germany", "Channel Islands")
    plain = read_order_file(write(tmp_path, text), OPTIONS)
    told = read_order_file(write(tmp_path, text), ReadOptions(today=date(2026, 3, 10), country_codes={"Channel Islands": "JE"}))
    assert plain.refused_counts == {"too_many_decimals": 1, "unknown_country": 1}
    assert told.refused_counts == {"too_many_decimals": 1}


def test_limit_reads_the_first_lines_and_checks_all(tmp_path):
    limited = ReadOptions(today=date(2026, 3, 10), limit=3)
    assert read_order_file(write(tmp_path, HEADER + ROWS), limited).lines_read == 3
    with pytest.raises(order_file.FileCutShortError):
        read_order_file(write(tmp_path, HEADER + ROWS + "536370,71053"), limited)


ONE = "536365,85123A,HEART,6.0,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n"


@pytest.mark.parametrize(
    ("error", "content"),
    [
        ("header_missing", b""),
        ("header_missing", ROWS),
        ("not_a_csv_file", b"PK\x03\x04\x00\x00\x08\x00"),
        ("not_a_csv_file", b"a" * (3 << 20)),
        ("not_a_csv_file", "{\n  1\n}\n"),
        ("not_a_csv_file", '[{"a": 1, "b": 2}]\n'),
        ("not_a_csv_file", "<html>\n<body>\n"),
        ("not_a_csv_file", HEADER + ONE.replace("HEART", '"HEART" x') + ONE),
        ("encoding_not_readable", HEADER.encode("utf-16")),
        ("encoding_not_readable", (HEADER + ONE).encode() + b"\x81\xff\n"),
        ("column_missing", HEADER.replace("UnitPrice,", "") + "1,A,Cup,1,2011-01-02,k,FR\n"),
        ("column_missing", "alpha,beta,gamma\nx,y,z\n"),
        ("column_ambiguous", HEADER.replace("Description", "SKU") + ONE),
        ("file_without_lines", HEADER),
        ("file_cut_short", HEADER + ONE + "536366,71053,LAN"),
        ("file_cut_short", HEADER + ONE + "536366,71053,LAN\n"),
        ("file_cut_short", HEADER + ONE + '536366,71053,"LANTERN, RED'),
        ("file_cut_short", HEADER + ONE + ONE[:-8]),
        ("file_cut_short", gzip.compress((HEADER + ROWS * 50).encode())[:-20]),
        ("file_cut_short", lzma.compress((HEADER + ROWS * 50).encode())[:-40]),
    ],
)
def test_files_that_are_refused(tmp_path, error, content):
    path = write(tmp_path, content)
    with pytest.raises(EntrepotError) as refused:
        read_order_file(path, OPTIONS)
    assert refused.value.code == error
    assert refused.value.remedy
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_column_is_named_with_what_was_found(tmp_path):
    path = write(tmp_path, HEADER.replace("UnitPrice,", "") + "1,A,Cup,1,2011-01-02,k,FR\n")
    with pytest.raises(order_file.ColumnMissingError) as refused:
        read_order_file(path, OPTIONS)
    assert refused.value.field == "unit_price"
    assert "InvoiceNo, StockCode, Description, Quantity, InvoiceDate, CustomerID, Country" in refused.value.remedy
    assert "--map unit_price=" in refused.value.remedy


@pytest.mark.parametrize("cut", range(2, len(ONE)))
def test_a_line_cut_anywhere_is_noticed(tmp_path, cut):
    path = write(tmp_path, HEADER + ONE + ONE[: len(ONE) - cut])
    with pytest.raises(order_file.FileCutShortError):
        read_order_file(path, OPTIONS)


def test_bad_calls(tmp_path):
    path = write(tmp_path, HEADER + ROWS)
    with pytest.raises(order_file.OrderFileMissingError):
        inspect_file(tmp_path / "nowhere.csv")
    with pytest.raises(order_file.OrderFileMissingError):
        inspect_file(tmp_path)
    with pytest.raises(UnknownCurrencyError):
        read_order_file(path, ReadOptions(today=date(2026, 3, 10), currency="XXX"))
    with pytest.raises(UnknownTimeZoneError):
        read_order_file(path, ReadOptions(today=date(2026, 3, 10), time_zone="Mars/Base"))
    for text in ("customer", "wer=Wer", "customer=", "customer=A,customer=B"):
        with pytest.raises(order_file.ColumnMapNotReadableError):
            parse_column_map(text)
    with pytest.raises(order_file.ColumnMissingError):
        read_order_file(path, ReadOptions(today=date(2026, 3, 10), column_map={"customer": "Wer"}))


def test_a_line_with_too_many_fields_is_refused_alone(tmp_path):
    read = read_order_file(write(tmp_path, HEADER + ONE.replace("HEART", "HEART,RED") + ONE), OPTIONS)
    assert (read.imported_count, read.refused_counts) == (1, {"field_count_wrong": 1})


def test_refused_lines_are_copied_with_their_reasons(tmp_path):
    path, target = write(tmp_path, HEADER + ROWS), tmp_path / "refused.csv"
    read = read_order_file(path, OPTIONS)
    assert write_refused(path, target, {line.line_no: line.reason for line in read.refused}) == 1
    with target.open(newline="") as copied:
        rows = list(csv.reader(copied))
    assert rows[0][:3] == ["line", "reason", "InvoiceNo"]
    assert rows[1] == ["5", "too_many_decimals", "536367", "71053", "LANTERN", "2", "2010-12-01 08:28:00", "0.001", "", "Germany"]


def test_the_same_bytes_have_the_same_hash_in_any_container(tmp_path):
    plain = inspect_file(write(tmp_path, HEADER + ROWS))
    packed = inspect_file(write(tmp_path, gzip.compress((HEADER + ROWS).encode()), "orders.csv.gz"))
    assert plain == packed
