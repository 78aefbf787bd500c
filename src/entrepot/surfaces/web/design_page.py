"""The design system on one page: every component in every state, with invented content, for whoever builds or judges pages."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import QueryParameter
from litestar.response import Stream
from wtforms import BooleanField, DateField, EmailField, Form, IntegerField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange, Regexp, ValidationError

from entrepot.surfaces.web.access import EVERYBODY, FormDep, Visitor, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.forms import options, read_form
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Action, Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, sift
from entrepot.surfaces.web.order_view import Moment
from entrepot.surfaces.web.render import fill, page
from entrepot.surfaces.web.words import money, number, plain_words, short_day

_START: Final = datetime(2026, 9, 8, 7, 30, tzinfo=UTC)
_SPOOLED_ROWS: Final = 400
_TONES: Final = ("neutral", "info", "progress", "success", "warning", "danger")
_STATES: Final = ("awaiting_payment", "paid", "in_work", "shipped", "delivered", "settled", "cancelled", "customs_hold", "lost")
_COLOURS: Final = (
    *(
        "ground",
        "paper",
        "raised",
        "sunken",
        "hover",
        "ink",
        "ink-soft",
        "ink-faint",
        "line",
        "line-strong",
        "line-field",
        "brand",
        "brand-soft",
        "link",
    ),
    *("info", "info-soft", "progress", "progress-soft", "success", "success-soft", "warning", "warning-soft", "danger", "danger-soft"),
    *(f"series-{number}" for number in range(1, 7)),
)
_WAYS: Final = (
    ((mark("Placed"), "done"), (mark("Paid"), "done"), (mark("In work"), "now"), (mark("Shipped"), "open"), (mark("Delivered"), "open")),
    ((mark("Placed"), "done"), (mark("Shipped"), "done"), (mark("Customs"), "stopped"), (mark("Delivered"), "open")),
)
_SAMPLES: Final = (
    ("E4821-0096-1180-2217", "delivered", "Shenzhen Audio", "GB", 2, 9398, "GBP"),
    ("E4821-0096-1180-2231", "in_work", "Leeds Kitchen", "GB", 1, 4250, "GBP"),
    ("E4821-0097-3304-0108", "shipped", "Bavaria Outdoor", "DE", 1, 28900, "EUR"),
    ("E4821-0097-3304-0119", "customs_hold", "Lyon Beauty", "CN", 3, 61200, "CNY"),
    ("E4821-0098-0071-9902", "awaiting_payment", "Shenzhen Audio", "US", 1, 12999, "USD"),
    ("E4821-0098-0071-9940", "cancelled", "Tasman Health", "CN", 4, 39600, "CNY"),
    ("E4821-0099-5512-7006", "delivered", "Bavaria Outdoor", "AT", 2, 15780, "EUR"),
    ("E4821-0099-5512-7018", "shipped", "Kyoto Paper", "JP", 12, 18600, "JPY"),
)
LIST: Final = Listing(
    "design",
    "/design",
    (
        Column("number", mark("Order"), Kind.TEXT, is_sortable=True),
        Column("placed_at", mark("Placed"), Kind.TIME, is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("merchant", mark("Merchant"), is_sortable=True),
        Column("country", mark("To"), Kind.COUNTRY),
        Column("ship_by", mark("Ship by"), Kind.DAY, is_optional=True),
        Column("margin", mark("Margin"), Kind.PERCENT, is_optional=True),
        Column("units", mark("Units"), Kind.NUMBER, is_sortable=True),
        Column("total", mark("Total"), Kind.MONEY, is_sortable=True),
    ),
    (
        Filter("q", mark("Number or merchant")),
        Filter("state", mark("Any state"), tuple((state, plain_words(state)) for state in _STATES)),
        Filter("merchant", mark("Any merchant"), tuple((name, name) for name in sorted({row[2] for row in _SAMPLES}))),
    ),
    (View("shipped", mark("On their way"), {"state": "shipped"}), View("held", mark("Held by customs"), {"state": "customs_hold"})),
    (Action(mark("Print pick lists"), "/design", "get"),),
    sort="-placed_at",
    page_rows=6,
)


class SampleForm(Form):
    """A form with one field of each kind."""

    name = StringField(mark("Name"), [InputRequired(), Length(max=80)])
    mail = EmailField(
        mark("Mail address"),
        [InputRequired(), Regexp(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", message=mark("Write the address as name@example.org."))],
        description=mark("Only for notices about this booking."),
    )
    units = IntegerField(mark("Units"), [InputRequired(), NumberRange(1, 999)])
    on = DateField(mark("Pick up on"), [InputRequired()])
    country = SelectField(mark("Country"), choices=options(("DE", mark("Germany")), ("GB", mark("United Kingdom")), ("CN", mark("China"))))
    speed = RadioField(mark("Speed"), choices=options(("standard", mark("Standard")), ("expedited", mark("Expedited"))), default="standard")
    note = TextAreaField(mark("Note for the driver"))
    agreed = BooleanField(mark("The goods are packed for transport"), [InputRequired()])

    def validate_on(self, field: DateField) -> None:
        """Refuse a day before the samples begin."""
        if field.data is not None and field.data < _START.date():
            raise ValidationError(mark("Choose a day from 8 September 2026 on."))


_POINTS: Final = (
    ("szx", "Shenzhen", 22.6, 114.1, "place", "200"),
    ("hkg", "Hong Kong", 22.3, 113.9, "place", "150"),
    ("ltn", "Luton", 51.9, -0.4, "parcel", "1"),
    ("ont", "Ontario, California", 34.1, -117.6, "place", "90"),
    ("ber", "Berlin", 52.5, 13.4, "door", ""),
)
_ARCS: Final = (("szx", "hkg", "done"), ("hkg", "ltn", "now"), ("ltn", "ber", "open"))


@get("/design", opt=open_to(EVERYBODY))
async def show_design(
    request: WebRequest, house: HouseDep, visitor: VisitorDep, direction: Annotated[str, QueryParameter(name="dir")] = ""
) -> Response[str] | Stream:
    """Show all components; `dir=rtl` turns the page round."""
    asked = {name: value for name, value in request.query_params.items() if name not in {"dir", "row"}}
    return await answer_listing("design.html", visitor, house, LIST, asked, _find, _values(visitor, direction, SampleForm()))


@post("/design", status_code=200, opt=open_to(EVERYBODY))
async def try_form(visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Check the sample form and show all that is wrong with it, or what a page says when all is well; nothing is kept."""
    tried = read_form(SampleForm, form, visitor.language)
    is_right = tried.validate()
    return page("design_form.html", visitor, {"form": tried, "is_right": is_right}, 200 if is_right else 422)


@post("/design/scan", status_code=200, opt=open_to(EVERYBODY))
async def try_scan(visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Answer a scan: a code that begins with X is not expected here."""
    code = form.get("code", "").strip()
    _ = visitor.language.gettext
    is_wrong = code.upper().startswith("X")
    told = _("%(code)s does not belong here. Put it on the problem shelf.", code=code) if is_wrong else _("%(code)s is in. Next one.", code=code)
    return Response(
        fill("parts/scan_sample.html", visitor.language, visitor=visitor, state="stop" if is_wrong else "ok", told=told), media_type="text/html"
    )


@get("/design/progress", opt=open_to(EVERYBODY))
async def show_progress(visitor: VisitorDep) -> dict[str, object]:
    """Answer how far the sample of long work is: it is done."""
    text = visitor.language.gettext("%(done)s of %(total)s", done=_SPOOLED_ROWS, total=_SPOOLED_ROWS)
    return {"done": _SPOOLED_ROWS, "total": _SPOOLED_ROWS, "text": text, "href": ""}


async def _find(ask: Ask, limit: int, offset: int) -> Found:
    """Return the sample rows that fit."""
    rows = [
        Row(
            number,
            {
                "number": Cell(number, href=f"/design?q={number}"),
                "placed_at": Cell(_START + timedelta(hours=7 * index)),
                "state": Cell(state),
                "merchant": Cell(merchant),
                "country": Cell(country),
                "ship_by": Cell(date(2026, 9, 10) + timedelta(days=index)),
                "margin": Cell(Decimal("0.125") + Decimal(index) / 100),
                "units": Cell(units),
                "total": Cell(total, currency=currency),
            },
        )
        for index, (number, state, merchant, country, units, total, currency) in enumerate(_SAMPLES)
    ]
    return sift(LIST, ask, rows, limit, offset)


def _values(visitor: Visitor, direction: str, form: SampleForm) -> dict[str, object]:
    """Return what the page shows beside the list."""
    _ = visitor.language.gettext
    sent: MultiDict[str] = MultiDict(
        [("name", ""), ("mail", "warehouse@"), ("units", "0"), ("on", "2026-09-01"), ("country", "GB"), ("speed", "standard")]
    )
    wrong = read_form(SampleForm, sent, visitor.language)
    wrong.validate()
    moments = (
        Moment(_START, _("Order placed"), _("Buyer"), "", "fact"),
        Moment(_START + timedelta(hours=5), _("Packed in carton S2"), "GB-LTN1", _("Scale says 412 g, expected 405 g."), "act"),
        Moment(_START + timedelta(hours=9), _("Held by customs"), _("Customs of the destination"), _("The invoice is missing."), "customs"),
        Moment(_START + timedelta(hours=30), _("Delivered"), _("Carrier"), "DX 4471 9920 118 GB", "parcel"),
    )
    return {
        **({"direction": "rtl"} if direction == "rtl" else {}),
        "colours": _COLOURS,
        "tones": _TONES,
        "states": _STATES,
        "ways": _WAYS,
        "moments": moments,
        "form": form,
        "wrong": wrong,
        "points": _POINTS,
        "arcs": _ARCS,
        "now": _START,
        "weeks": [(_week(visitor, week), [_figure(visitor, 240 + 37 * week % 90), _figure(visitor, 60 + 21 * week % 40)]) for week in range(8)],
        "sales": [
            (_week(visitor, week), [(str(31_000 + 4_100 * week % 9_700), money(visitor.language, (31_000 + 4_100 * week % 9_700) * 100, "EUR"))])
            for week in range(8)
        ],
    }


def _week(visitor: Visitor, week: int) -> str:
    return short_day(visitor.language, _START.date() + timedelta(days=7 * week))


def _figure(visitor: Visitor, count: int) -> tuple[int, str]:
    return count, number(visitor.language, count)
