"""Pages out of templates: one environment, one way to answer."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.datastructures import Cookie

from entrepot.surfaces.web import words
from entrepot.surfaces.web.access import TOKEN_FIELD, Visitor

BUILT: Final = Path(str(files("entrepot.surfaces.web"))) / "static" / "built"
"""Where the bundles for browsers lie."""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("entrepot.surfaces.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    named = (
        *(
            words.words,
            words.state_words,
            words.short_title,
            words.when_brief,
            words.tone,
            words.money,
            words.plain_amount,
            words.number,
            words.percent,
            words.day,
            words.short_day,
        ),
        *(words.window, words.when, words.country, words.account, words.place, words.short_id),
    )
    cast("dict[str, object]", environment.filters).update({function.__name__: function for function in named})
    cast("dict[str, object]", environment.globals).update(bundle=_bundle, token_field=TOKEN_FIELD)
    return environment


@cache
def _bundle(name: str) -> str:
    """Return the address of a bundle with a mark of its content, so that browsers may keep it for ever."""
    path = BUILT / name
    mark = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "missing"
    return f"/static/{name}?v={mark}"


def fill(template: str, **values: object) -> str:
    """Return a filled template, for fragments and events."""
    return _environment().get_template(template).render(**values)


def page(
    template: str, visitor: Visitor | None, values: Mapping[str, object] | None = None, status: int = 200, cookies: Iterable[Cookie] = ()
) -> Response[str]:
    """Return a page for a visitor."""
    content = fill(template, visitor=visitor, **(values or {}))
    return Response(content, status_code=status, media_type=MediaType.HTML, cookies=list(cookies))
