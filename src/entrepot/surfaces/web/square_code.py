"""Square codes on pages, for cameras."""

from typing import Any, Final, cast

import zxingcpp
from markupsafe import Markup

_TAG: Final = "<svg "


def square_code(text: str) -> Markup:
    """Return a QR code as SVG that grows to the size that the style gives it; it holds only text of our own."""
    library = cast("Any", zxingcpp)
    drawing = str(library.create_barcode(text, library.BarcodeFormat.QRCode).to_svg())
    head, _, rest = drawing[drawing.index(_TAG) + len(_TAG) :].partition(" version=")
    squares = head.split('"')[1]
    return Markup(f'{_TAG}class="square-code" role="img" viewBox="0 0 {squares} {squares}" {head} version={rest}')  # noqa: S704 -- drawn by us
