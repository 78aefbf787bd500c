"""The papers of a parcel: label on the screen, as PDF and for label printers, and the customs form where one was declared."""

import asyncio
import re
import uuid
from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from markupsafe import Markup

from entrepot.adapters.labels import CustomsForm, CustomsLine, LabelValues, code128_svg, customs_form_pdf, label_pdf, label_zpl
from entrepot.catalogue.store import read_stock_items
from entrepot.flows.parcel_papers import PaperValues, read_paper_values, reference_of
from entrepot.freight.model import ParcelKey
from entrepot.orders.read import read_lines
from entrepot.surfaces.web.access import FLOOR, Visitor, VisitorDep, open_to
from entrepot.surfaces.web.floor.shift import Said, Shift, at_work, floor_page
from entrepot.surfaces.web.house import House, HouseDep
from entrepot.surfaces.web.words import words

_GOODS: Final = "Goods"
_SIZED: Final = re.compile(r'^.*?<svg width="(\d+)" height="(\d+)"', re.DOTALL)
"""How the library begins its drawing: a size in place of a view that scales."""


@get("/floor/papers/{merchant_id:uuid}/{parcel_id:uuid}", opt=open_to(FLOOR))
async def show_papers(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], parcel_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show the label as it will be printed, and what else travels with the parcel."""
    shift, values = await _read(house, visitor, ParcelKey(merchant_id, parcel_id))
    label = _label(visitor, values)
    shown: dict[str, object] = {
        "values": values,
        "label": label,
        "barcode": Markup(_SIZED.sub(r'<svg viewBox="0 0 \1 \2"', code128_svg(label.tracking_number), count=1)),  # noqa: S704 -- drawn here
        "address": f"/floor/papers/{merchant_id}/{parcel_id}",
    }
    return floor_page("floor/papers.html", shift, Said(), shown)


@get("/floor/papers/{merchant_id:uuid}/{parcel_id:uuid}/label.pdf", opt=open_to(FLOOR))
async def print_label(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], parcel_id: FromPath[uuid.UUID]) -> Response[bytes]:
    """Send the label as PDF, 4 by 6 inches."""
    _, values = await _read(house, visitor, ParcelKey(merchant_id, parcel_id))
    return _file(await asyncio.to_thread(label_pdf, _label(visitor, values)), "application/pdf", f"label-{parcel_id.hex[-8:]}.pdf")


@get("/floor/papers/{merchant_id:uuid}/{parcel_id:uuid}/label.zpl", opt=open_to(FLOOR))
async def send_label(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], parcel_id: FromPath[uuid.UUID]) -> Response[bytes]:
    """Send the label in the language of label printers."""
    _, values = await _read(house, visitor, ParcelKey(merchant_id, parcel_id))
    return _file(label_zpl(_label(visitor, values)).encode(), "application/zpl", f"label-{parcel_id.hex[-8:]}.zpl")


@get("/floor/papers/{merchant_id:uuid}/{parcel_id:uuid}/customs.pdf", opt=open_to(FLOOR))
async def print_customs_form(
    house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], parcel_id: FromPath[uuid.UUID]
) -> Response[bytes]:
    """Send the customs form of a parcel whose consignment was declared."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        values = await read_paper_values(conn, shift.outside.reference, house.keyring, ParcelKey(merchant_id, parcel_id), shift.place.place_code)
        lines = {one.line_no: one for one in await read_lines(conn, [merchant_id], [values.parcel.order_id])}
        items = await read_stock_items(conn, [merchant_id for _ in lines], [one.stock_item_id for one in lines.values()])
    skus = {no: items[line.stock_item_id].sku for no, line in lines.items() if line.stock_item_id in items}
    goods = tuple(
        CustomsLine(
            skus.get(one.line_no, _GOODS),
            one.quantity,
            one.net_weight_g,
            one.customs_value_minor,
            one.hs_code,
            one.origin_code,
            skus.get(one.line_no, ""),
        )
        for one in values.customs_lines
    )
    label = _label(visitor, values)
    form = CustomsForm(
        label.tracking_number, label.from_lines, label.to_lines, _GOODS, values.currency, goods, values.parcel.weight_g, 0, "", values.declared_on
    )
    return _file(await asyncio.to_thread(customs_form_pdf, form), "application/pdf", f"customs-{parcel_id.hex[-8:]}.pdf")


async def _read(house: House, visitor: Visitor, key: ParcelKey) -> tuple[Shift, PaperValues]:
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        return shift, await read_paper_values(conn, shift.outside.reference, house.keyring, key, shift.place.place_code)


def _label(visitor: Visitor, values: PaperValues) -> LabelValues:
    """Return the label's values; its lines are the carrier's, in no visitor's language."""
    parcel = values.parcel
    return LabelValues(
        parcel.tracking_number or parcel.parcel_id.hex[-12:].upper(),
        values.carrier_name,
        words(visitor.language, parcel.service_code),
        values.from_lines,
        values.to_lines,
        values.to_country_code,
        parcel.weight_g,
        values.order_number or reference_of(parcel.order_id),
    )


def _file(content: bytes, media_type: str, name: str) -> Response[bytes]:
    return Response(content, media_type=media_type, headers={"content-disposition": f'inline; filename="{name}"'})
