"""Paper: the barcode of the PDF's page and of the ZPL reads back, and no address can break out of its field."""

import re

import pytest
import zxingcpp
from tests.factories.pictures import pixels

from entrepot.adapters.labels import (
    CommercialInvoice,
    CustomsForm,
    CustomsLine,
    LabelValues,
    code128_svg,
    commercial_invoice_pdf,
    customs_form_code,
    customs_form_pdf,
    label_pdf,
    label_png,
    label_zpl,
)
from entrepot.adapters.tax_invoice import TaxInvoice, tax_invoice_pdf

NUMBERS = ["LA473124829ZZ", "DX12345678901234", "EL123456789012345674", "1Z999AA10123456784"]
FROM = ("Merchant #1 [Ltd]", "1 *Bold* Street")
TO = ("王小明 $x$ #panic()", "上海市浦东新区 ^XZ~JA_5E", 'Müller & Söhne </b> \\ "quoted"', "東京都")


def values(number):
    return LabelValues(number, "Demo operator Post", "Tracked parcel", FROM, TO, "CN", 1234, "ABC123", "PVG-1")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_label_reads_back(number):
    read = zxingcpp.read_barcodes(pixels(label_png(values(number))))
    assert [(one.text, one.format.name) for one in read] == [(number, "Code128")]


def test_the_pdf_is_a_page_of_four_by_six_inches():
    pdf = label_pdf(values(NUMBERS[0]))
    assert pdf.startswith(b"%PDF-")
    assert re.findall(rb"/MediaBox ?\[0 0 (\d+) (\d+)\]", pdf) == [(b"288", b"432")]


def zpl_field(zpl, command):
    """Return the data of the field that holds a command, with its hexadecimal undone as a printer does."""
    found = re.search(rf"\^FO\d+,\d+[^\n]*{re.escape(command)}[^\n]*\^FH\^FD([^^~]*)\^FS", zpl)
    return re.sub(r"_([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), found[1])


@pytest.mark.parametrize("number", NUMBERS)
def test_the_zpl_carries_the_number_as_code_128(number):
    zpl = label_zpl(values(number))
    assert zpl_field(zpl, "^BCN") == number
    barcode = zxingcpp.create_barcode(zpl_field(zpl, "^BCN"), zxingcpp.BarcodeFormat.Code128)
    assert zxingcpp.read_barcode(barcode.to_image(scale=2)).text == number


def test_an_address_cannot_command_the_printer():
    zpl = label_zpl(values(NUMBERS[0]))
    assert (zpl.count("^XA"), zpl.count("^XZ"), zpl.count("~")) == (1, 1, 0)
    assert "上海市浦东新区 _5EXZ_7EJA_5F5E" in zpl
    assert zpl.splitlines()[:4] == ["^XA", "^CI28", "^PW812", "^LL1218"]


def test_the_barcode_is_drawn_with_quiet_zones():
    assert code128_svg("ABC").startswith("<?xml")
    assert "<rect" in code128_svg("ABC")


@pytest.mark.parametrize(("value_sdr", "weight_g", "form"), [(300, 2000, "CN22"), (301, 2000, "CN23"), (300, 2001, "CN23")])
def test_customs_form_code(value_sdr, weight_g, form):
    assert customs_form_code(value_sdr, weight_g) == form


def test_customs_papers_are_drawn():
    lines = (CustomsLine("电热水壶 [steel] #x", 2, 1500, 2345, "851610", "CN", "SKU-1"),) * 40
    form = CustomsForm(NUMBERS[0], FROM, TO, "Sale of goods", "GBP", lines[:2], 1800, 385, "IM2760000742", "2026-05-04", "CN22")
    invoice = CommercialInvoice("INV-1", "2026-05-04", FROM, TO, TO, "DDP Shanghai", "JPY", lines, 100, 10, 5, 60_000, 1, "EORI GB1")
    assert customs_form_pdf(form).startswith(b"%PDF-")
    pdf = commercial_invoice_pdf(invoice)
    assert pdf.startswith(b"%PDF-")
    assert re.findall(rb"/Type/Pages/Count (\d+)", pdf) == [b"2"]


def test_a_tax_invoice_is_drawn_on_as_many_pages_as_it_needs():
    line = ("电热水壶 [steel] #x", "2", "1,000.00", "190.00", "1,190.00")
    heads = ("Item", "Quantity", "Net", "Tax", "Gross")
    paper = TaxInvoice("Invoice", (("Number", "SALE-1"),), "From", FROM, "To", TO, heads, (line,) * 60, (("Gross", "1"),), "Amounts in EUR.")
    assert re.findall(rb"/Type/Pages/Count (\d+)", tax_invoice_pdf(paper)) == [b"2"]
