"""The languages of the pages: which one a visitor reads, and its texts out of the catalogues beside this file."""

from collections.abc import Sequence
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from msgspec import Struct

from entrepot.base.phrases import mark

CODES: Final = ("en", "de", "zh_Hans")
"""Languages in which every text is there; the first is the one that the texts are written in."""
TRANSLATIONS: Final = Path(str(files("entrepot.surfaces.web"))) / "translations"
"""One folder per language, in it one catalogue per area, so that people who build different areas do not meet in one file."""

__all__ = ("CODES", "TRANSLATIONS", "Language", "choose_language", "language", "languages", "mark")

_BY_SUBTAG: Final = {code.partition("_")[0]: code for code in CODES}
_NAMES: Final = {"en": "English", "de": "Deutsch", "zh_Hans": "简体中文"}


class Language(Struct, frozen=True, eq=False):
    """A language that pages speak."""

    code: str
    locale: Locale
    texts: NullTranslations

    @property
    def tag(self) -> str:
        """The language as browsers write it, such as `zh-Hans`."""
        return self.code.replace("_", "-")

    @property
    def subtag(self) -> str:
        """The language without its script, as texts of products are kept, such as `zh`."""
        return self.code.partition("_")[0]

    @property
    def name(self) -> str:
        """What the language calls itself."""
        return _NAMES[self.code]

    @property
    def gap(self) -> str:
        """What stands between two sentences: Chinese ones follow each other without a space."""
        return "" if self.locale.language == "zh" else " "

    @property
    def direction(self) -> str:
        """The direction of writing, `ltr` or `rtl`."""
        return self.locale.text_direction

    def gettext(self, text: str, /, **values: object) -> str:
        """Return a text in this language, with the values in place of `%(name)s`."""
        told = self.texts.gettext(text) if text else ""
        return told % values if values else told

    def ngettext(self, one: str, many: str, count: int, /, **values: object) -> str:
        """Return the text for a count; `%(num)s` stands for it unless another value is given by that name."""
        return self.texts.ngettext(one, many, count) % {"num": count, **values}


@cache
def language(code: str) -> Language:
    """Return a language with its catalogues, read once."""
    whole = Catalog(locale=code)
    for path in sorted((TRANSLATIONS / code).glob("*.po")):
        with path.open("rb") as file:
            read = read_po(file, locale=code)
        for message in (one for one in read if one.id and one.string):
            whole.add(message.id, message.string)
    compiled = BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return Language(code, Locale.parse(code), GNUTranslations(compiled))


def languages() -> tuple[Language, ...]:
    """Return all languages in the order in which they are offered."""
    return tuple(language(code) for code in CODES)


def choose_language(wishes: Sequence[str], accepted: str) -> str | None:
    """Return the first language of the wishes (a choice, an account's), else of an Accept-Language header, that we speak."""
    for wish in (*wishes, *_accepted(accepted)):
        found = _BY_SUBTAG.get(wish.replace("_", "-").partition("-")[0].casefold())
        if found is not None:
            return found
    return None


def _accepted(header: str) -> list[str]:
    """Return the tags of an Accept-Language header, best first; what cannot be read counts least."""
    tags: list[tuple[int, int, str]] = []
    for position, part in enumerate(header[:500].split(",")):
        tag, _, parameters = part.strip().partition(";")
        weight = parameters.strip().removeprefix("q=").strip()
        thousandths = 1000 if not parameters else _thousandths(weight)
        if tag and thousandths:
            tags.append((-thousandths, position, tag))
    return [tag for _, _, tag in sorted(tags)]


def _thousandths(weight: str) -> int:
    whole, _, part = weight.partition(".")
    digits = (part + "000")[:3]
    return 1000 if whole == "1" else int(digits) if whole == "0" and digits.isdecimal() else 0
