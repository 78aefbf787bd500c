"""Square codes on pages, for cameras."""

from typing import Any, Final, cast

import zxingcpp
from markupsafe import Markup, escape

_TAG: Final = "<svg "


def square_code(text: str, name: str) -> Markup:
    """Return a QR code as SVG that grows to the size that the style gives it, with what it is called for those who hear the page; it holds only text of our own."""
    library = cast("Any", zxingcpp)
    drawing = str(library.create_barcode(text, library.BarcodeFormat.QRCode).to_svg())
    head, _, rest = drawing[drawing.index(_TAG) + len(_TAG) :].partition(" version=")
    squares = head.split('"')[1]
    return Markup(f'{_TAG}class="square-code" role="img" aria-label="{escape(name)}" viewBox="0 0 {squares} {squares}" {head} version={rest}')  # noqa: S704 -- drawn by us
