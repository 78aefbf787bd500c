"""The languages of the pages as voices for mails, which flows write."""

from collections.abc import Sequence

from msgspec import Struct

from entrepot.surfaces.web.languages import CODES, Language, choose_language, language
from entrepot.surfaces.web.words import money


class SpokenVoice(Struct, frozen=True):
    """A language of the pages, for texts that flows write."""

    language: Language

    @property
    def tag(self) -> str:
        """The language as mails name it."""
        return self.language.tag

    def gettext(self, text: str, /, **values: object) -> str:
        """Return a marked text in this language."""
        return self.language.gettext(text, **values)

    def money(self, minor: int, currency: str) -> str:
        """Return an amount as people write it, with its currency."""
        return money(self.language, minor, currency)


def choose_voice(wishes: Sequence[str]) -> SpokenVoice:
    """Return the first of the languages that we speak, else English."""
    return SpokenVoice(language(choose_language(wishes, "") or CODES[0]))
