"""The bundles that pages load: built from `static/src`, addressed with a mark of their content, kept by browsers for ever."""

from pathlib import PurePosixPath
from typing import Final

from litestar import Response, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath

from entrepot.base.errors import UnknownReferenceError
from entrepot.surfaces.web.access import EVERYBODY, open_to
from entrepot.surfaces.web.render import BUILT

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".map": "application/json", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
_YEAR_S: Final = 31_536_000


class UnknownBundleError(UnknownReferenceError):
    """No bundle has this name; build them with `make setup`."""


@get("/static/{name:str}", opt=open_to(EVERYBODY), cache_control=CacheControlHeader(max_age=_YEAR_S, public=True), sync_to_thread=True)
def show_bundle(name: FromPath[str]) -> Response[bytes]:
    """Send a bundle."""
    known = {path.name: path for path in BUILT.iterdir()} if BUILT.is_dir() else {}
    media_type = _TYPES.get(PurePosixPath(name).suffix)
    if name not in known or media_type is None:
        raise UnknownBundleError("bundle", name, "Run `make setup`, then open the page again.")
    return Response(known[name].read_bytes(), media_type=media_type)
