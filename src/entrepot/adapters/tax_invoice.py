"""An invoice or credit note as PDF, drawn from values that are worded already."""

from collections.abc import Sequence

from msgspec import Struct

from entrepot.adapters.labels import compile_paper


class TaxInvoice(Struct, frozen=True):
    """What an invoice says, in the reader's words: facts and sums as (name, value), lines as one text for each head."""

    title: str
    facts: tuple[tuple[str, str], ...]
    from_title: str
    from_lines: tuple[str, ...]
    to_title: str
    to_lines: tuple[str, ...]
    heads: tuple[str, str, str, str, str]
    lines: tuple[tuple[str, str, str, str, str], ...]
    sums: tuple[tuple[str, str], ...]
    note: str


def tax_invoice_pdf(invoice: TaxInvoice, font_folders: Sequence[str] = ()) -> bytes:
    """Return an invoice as PDF of as many pages as it needs."""
    data: dict[str, object] = {
        "title": invoice.title,
        "facts": invoice.facts,
        "from_title": invoice.from_title,
        "from": invoice.from_lines,
        "to_title": invoice.to_title,
        "to": invoice.to_lines,
        "heads": invoice.heads,
        "lines": invoice.lines,
        "sums": invoice.sums,
        "note": invoice.note,
    }
    return compile_paper("tax_invoice.typ", data, "pdf", font_folders)
