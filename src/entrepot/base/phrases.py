"""Texts that people read, below the pages: written in English, marked for the catalogues, said by whoever knows the reader's language."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol, cast


def mark(text: str) -> str:
    """Return a text as it is; the catalogues contain it, and whoever shows it says it in the reader's language."""
    return text


class Voice(Protocol):
    """A language that says marked texts and amounts of money; the surfaces have the catalogues, flows get a voice from whoever starts them."""

    @property
    def tag(self) -> str:
        """The language as mails and browsers name it, such as `de`."""
        ...

    def gettext(self, text: str, /, **values: object) -> str:
        """Return a marked text in this language, with the values in place of `%(name)s`."""
        ...

    def money(self, minor: int, currency: str) -> str:
        """Return an amount as people write it in this language."""
        ...


class ChooseVoice(Protocol):
    """Finds the language of a reader."""

    def __call__(self, wishes: Sequence[str]) -> Voice:
        """Return the first of the languages that we speak, else English."""
        ...


def plain(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as programs and logs read them: days and moments by the standard, several ones behind each other."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(one) for one in cast("Sequence[object]", value))
    return str(value)
