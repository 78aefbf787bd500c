"""Paper that travels with a parcel: shipping label (PDF, PNG, ZPL), customs form CN22/CN23 and commercial invoice, drawn from plain values.

The values reach the PDF compiler as data and never as markup, so a name or a street in any script cannot change the layout. Chinese,
Japanese and Korean text needs a font that holds it: install one on the machine or name its folder; without it boxes are drawn, nothing fails.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec
import typst
import zxingcpp
from msgspec import Struct

from entrepot.base.money import decimals_of, major

LABEL_DOTS: Final = (812, 1218)
"""Width and height of a 4 x 6 inch label on a printer of 203 dots per inch."""
CN22_MAX_WEIGHT_G: Final = 2000
CN22_MAX_VALUE_SDR: Final = 300


class LabelValues(Struct, frozen=True):
    """What a shipping label says; addresses are lines in the order of the country of destination."""

    tracking_number: str
    carrier_name: str
    service_name: str
    from_lines: tuple[str, ...]
    to_lines: tuple[str, ...]
    to_country_code: str
    weight_g: int
    reference: str
    routing_text: str = ""


class CustomsLine(Struct, frozen=True):
    """One kind of goods on a customs paper; value in minor units of the paper's currency for all pieces."""

    description: str
    quantity: int
    net_weight_g: int
    value_minor: int
    hs_code: str
    origin_country_code: str
    sku: str = ""


class CustomsForm(Struct, frozen=True):
    """Values of a postal customs form; `importer_reference` is an IOSS, VOEC, EORI or tax number."""

    tracking_number: str
    from_lines: tuple[str, ...]
    to_lines: tuple[str, ...]
    category: str
    currency: str
    lines: tuple[CustomsLine, ...]
    gross_weight_g: int
    postage_minor: int
    importer_reference: str
    signed_on: str
    form_code: str = "CN23"


class CommercialInvoice(Struct, frozen=True):
    """Values of a commercial invoice for customs; freight, insurance and discount stand apart from the goods."""

    invoice_number: str
    issued_on: str
    seller_lines: tuple[str, ...]
    buyer_lines: tuple[str, ...]
    importer_lines: tuple[str, ...]
    incoterm: str
    currency: str
    lines: tuple[CustomsLine, ...]
    freight_minor: int
    insurance_minor: int
    discount_minor: int
    gross_weight_g: int
    package_count: int
    registration: str
    reason: str = "Sale of goods"


def customs_form_code(value_sdr: int, gross_weight_g: int) -> str:
    """Return CN22 up to 300 special drawing rights and 2 kg of letter post, else CN23 (UPU); the value is in whole SDR, rounded up."""
    return "CN22" if value_sdr <= CN22_MAX_VALUE_SDR and gross_weight_g <= CN22_MAX_WEIGHT_G else "CN23"


def label_pdf(values: LabelValues, font_folders: Sequence[str] = ()) -> bytes:
    """Return a 4 x 6 inch shipping label as PDF."""
    return compile_paper("label.typ", _label_data(values), "pdf", font_folders)


def label_png(values: LabelValues, font_folders: Sequence[str] = ()) -> bytes:
    """Return the same label as an image of 203 dots per inch."""
    return compile_paper("label.typ", _label_data(values), "png", font_folders)


def customs_form_pdf(form: CustomsForm, font_folders: Sequence[str] = ()) -> bytes:
    """Return a CN22 or CN23 customs form as PDF."""
    return compile_paper("customs_form.typ", _form_data(form), "pdf", font_folders)


def commercial_invoice_pdf(invoice: CommercialInvoice, font_folders: Sequence[str] = ()) -> bytes:
    """Return a commercial invoice for customs as PDF."""
    return compile_paper("commercial_invoice.typ", _invoice_data(invoice), "pdf", font_folders)


def label_zpl(values: LabelValues) -> str:
    """Return a 4 x 6 inch shipping label in Zebra's printer language, UTF-8, 203 dots per inch."""
    width, height = LABEL_DOTS
    fields = [
        _text(40, 40, 40, f"{values.carrier_name} - {values.service_name}"),
        _text(620, 40, 60, values.to_country_code),
        "^FO40,110^GB732,3,3^FS",
        _text(40, 130, 24, "FROM"),
        *(_text(40, 160 + 30 * place, 24, line) for place, line in enumerate(values.from_lines[:5])),
        "^FO40,330^GB732,3,3^FS",
        _text(40, 350, 28, "TO"),
        *(_text(40, 390 + 44 * place, 38, line) for place, line in enumerate(values.to_lines[:7])),
        "^FO40,710^GB732,3,3^FS",
        _text(40, 730, 28, f"{_kilograms(values.weight_g)} kg   REF {values.reference}"),
        _text(40, 770, 36, values.routing_text),
        # Three dots a module keep 22 characters of Code 128 inside the label's width.
        f"^FO60,850^BY{2 if len(values.tracking_number) > 14 else 3},3,220^BCN,220,N,N,N,A^FH^FD{_escaped(values.tracking_number)}^FS",
        _text(60, 1100, 44, values.tracking_number),
    ]
    return "\n".join(("^XA", "^CI28", f"^PW{width}", f"^LL{height}", *fields, "^XZ", ""))


def code128_svg(text: str) -> str:
    """Return a text as Code 128 barcode in SVG with its quiet zones."""
    # The library's stub leaves the options untyped; the two arguments used here are typed.
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128)  # pyright: ignore[reportUnknownMemberType]
    return barcode.to_svg(add_quiet_zones=True)


def _text(left: int, top: int, size: int, text: str) -> str:
    """Return a text field in the printer's scalable font."""
    return f"^FO{left},{top}^A0N,{size},{size}^FH^FD{_escaped(text)}^FS"


def _escaped(text: str) -> str:
    """Return text whose command characters are written as hexadecimal, so that an address cannot command the printer."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean.replace("_", "_5F").replace("^", "_5E").replace("~", "_7E")


def _kilograms(weight_g: int) -> str:
    """Return grams as kilograms with three decimals."""
    return f"{weight_g // 1000}.{weight_g % 1000:03d}"


def _amount(minor: int, currency: str) -> str:
    """Return minor units with the decimals of their currency."""
    return f"{major(minor, currency):.{decimals_of(currency)}f}"


def _label_data(values: LabelValues) -> dict[str, object]:
    """Return what the label's template reads."""
    return {
        "barcode": code128_svg(values.tracking_number),
        "tracking_number": values.tracking_number,
        "carrier": values.carrier_name,
        "service": values.service_name,
        "from": values.from_lines,
        "to": values.to_lines,
        "country": values.to_country_code,
        "weight": _kilograms(values.weight_g),
        "reference": values.reference,
        "routing": values.routing_text,
    }


def _lines_data(lines: Sequence[CustomsLine], currency: str) -> list[list[str]]:
    """Return goods as rows of text."""
    return [
        [
            line.sku,
            line.description,
            str(line.quantity),
            _kilograms(line.net_weight_g),
            _amount(line.value_minor, currency),
            line.hs_code,
            line.origin_country_code,
        ]
        for line in lines
    ]


def _form_data(form: CustomsForm) -> dict[str, object]:
    """Return what the customs form's template reads."""
    return {
        "form": form.form_code,
        "barcode": code128_svg(form.tracking_number),
        "tracking_number": form.tracking_number,
        "from": form.from_lines,
        "to": form.to_lines,
        "category": form.category,
        "currency": form.currency,
        "lines": _lines_data(form.lines, form.currency),
        "gross_weight": _kilograms(form.gross_weight_g),
        "total": _amount(sum(line.value_minor for line in form.lines), form.currency),
        "postage": _amount(form.postage_minor, form.currency),
        "importer_reference": form.importer_reference,
        "signed_on": form.signed_on,
    }


def _invoice_data(invoice: CommercialInvoice) -> dict[str, object]:
    """Return what the invoice's template reads."""
    goods = sum(line.value_minor for line in invoice.lines)
    sums = (
        ("Goods", goods),
        ("Discount", -invoice.discount_minor),
        ("Freight", invoice.freight_minor),
        ("Insurance", invoice.insurance_minor),
        ("Total", goods - invoice.discount_minor + invoice.freight_minor + invoice.insurance_minor),
    )
    return {
        "number": invoice.invoice_number,
        "issued_on": invoice.issued_on,
        "seller": invoice.seller_lines,
        "buyer": invoice.buyer_lines,
        "importer": invoice.importer_lines,
        "incoterm": invoice.incoterm,
        "currency": invoice.currency,
        "lines": _lines_data(invoice.lines, invoice.currency),
        "sums": [[name, _amount(minor, invoice.currency)] for name, minor in sums],
        "gross_weight": _kilograms(invoice.gross_weight_g),
        "packages": str(invoice.package_count),
        "registration": invoice.registration,
        "reason": invoice.reason,
    }


@cache
def _fonts(folders: tuple[str, ...]) -> typst.Fonts:
    """Find the machine's fonts once, for every paper after the first is then drawn in milliseconds."""
    return typst.Fonts(font_paths=list(folders))


def compile_paper(template: str, data: dict[str, object], output: Literal["pdf", "png"], font_folders: Sequence[str]) -> bytes:
    """Draw a paper from a template of this package and its values."""
    source = resources.files("entrepot.adapters").joinpath("papers", template).read_bytes()
    values = msgspec.json.encode(data).decode()
    return typst.compile(source, format=output, ppi=203.0, font_paths=_fonts(tuple(font_folders)), sys_inputs={"values": values})
