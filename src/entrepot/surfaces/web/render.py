"""Pages out of templates: one environment per language, one way to answer."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.datastructures import Cookie

from entrepot.surfaces.web import words
from entrepot.surfaces.web.access import TOKEN_FIELD, Visitor, visit_cookie
from entrepot.surfaces.web.forms import described
from entrepot.surfaces.web.languages import CODES, Language, language, languages
from entrepot.surfaces.web.menus import menu_for

BUILT: Final = Path(str(files("entrepot.surfaces.web"))) / "static" / "built"
"""Where the bundles for browsers lie."""

_SPOKEN: Final = (
    words.words,
    words.state_words,
    words.money,
    words.plain_amount,
    words.currency_name,
    words.number,
    words.percent,
    words.day,
    words.plain_day,
    words.short_day,
    words.long_day,
    words.window,
    words.when,
    words.when_brief,
    words.country,
    words.address_lines,
    words.address_text,
    words.account,
    words.place,
    words.spot,
    words.told,
    words.named,
    words.span,
    words.declared,
)
"""Filters that speak the page's language."""
_SILENT: Final = (words.short_title, words.tone, words.short_id, words.breakable, words.carrier_name)


@cache
def _environment(code: str) -> Environment:
    """Return the environment in which `_`, the filters and `language` speak one language, so that imported macros do too."""
    spoken = language(code)
    environment = Environment(
        loader=PackageLoader("entrepot.surfaces.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    cast("dict[str, object]", environment.policies)["ext.i18n.trimmed"] = True
    install = cast("partial[None]", environment.install_gettext_callables)  # type: ignore[attr-defined]
    install(partial(Language.gettext, spoken), spoken.texts.ngettext, newstyle=True)  # a catalogue's answer to an empty text is its header
    filters = {function.__name__: partial(function, spoken) for function in _SPOKEN} | {function.__name__: function for function in _SILENT}
    cast("dict[str, object]", environment.filters).update(filters)
    cast("dict[str, object]", environment.globals).update(
        bundle=_bundle,
        token_field=TOKEN_FIELD,
        language=spoken,
        languages=languages(),
        menu_for=menu_for,
        described=described,
        gap=spoken.gap,
    )
    return environment


@cache
def _bundle(name: str) -> str:
    """Return the address of a bundle with a mark of its content, so that browsers may keep it for ever."""
    path = BUILT / name
    mark = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "missing"
    return f"/static/{name}?v={mark}"


def fill(template: str, spoken: Language, **values: object) -> str:
    """Return a filled template in a language, for fragments and events."""
    return _environment(spoken.code).get_template(template).render(**values)


def page(
    template: str, visitor: Visitor | None, values: Mapping[str, object] | None = None, status: int = 200, cookies: Iterable[Cookie] = ()
) -> Response[str]:
    """Return a page for a visitor in the visitor's language; a browser that is new gets the secret that its forms need."""
    spoken = visitor.language if visitor is not None else language(CODES[0])
    content = fill(template, spoken, visitor=visitor, **(values or {}))
    fresh = [visit_cookie(visitor)] if visitor is not None and visitor.is_fresh else []
    headers = {"content-language": spoken.tag, "vary": "accept-language, cookie"}
    return Response(content, status_code=status, media_type=MediaType.HTML, cookies=[*fresh, *cookies], headers=headers)
