"""Errors that people can act on: each names the field, the value and the remedy.

The remedy is a text of the catalogues with named values, such as `"Use at least %(least)s characters.", least=12`. Programs and logs read it in
English; a page says it in its reader's language, with numbers, days and states as people write them there. A value called `country` is a
country's code, `state` or `states` those of a record, one called `note` a marked text itself.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

from entrepot.base.phrases import plain

_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")


class EntrepotError(Exception):
    """Something Entrepot refuses or cannot do; subclasses say what and who acts."""

    status: ClassVar[int] = 400

    def __init__(self, field: str, value: object, remedy: str, **told: object) -> None:
        self.field = field
        self.value = value
        self.remedy_text = remedy
        self.told: Mapping[str, object] = told
        super().__init__(field, value, remedy)

    def __str__(self) -> str:
        return f"{self.code}: {self.field} = {self.value!r}. {self.remedy}"

    @property
    def remedy(self) -> str:
        """What to do about it, in English, with its values."""
        return self.remedy_text % plain(self.told) if self.told else self.remedy_text

    @property
    def code(self) -> str:
        """Snake-case name of the cause, stable for programs."""
        return error_code(type(self))

    @property
    def title(self) -> str:
        """The class docstring: one sentence for people."""
        return (type(self).__doc__ or "").strip()


class RefusedInputError(EntrepotError):
    """The input is not acceptable; the caller changes it."""

    status = 422


class UnknownReferenceError(EntrepotError):
    """A code or id names nothing that exists; the caller corrects it."""

    status = 404


class ConflictError(EntrepotError):
    """The request contradicts what is stored; the caller reads again and decides."""

    status = 409


class ForbiddenError(EntrepotError):
    """The actor may not see or do this; an administrator grants the role."""

    status = 403


class UnavailableError(EntrepotError):
    """A part of the system cannot be reached; the operator acts, the caller retries later."""

    status = 503


class BrokenDeclarationError(EntrepotError):
    """Data that ships with the product contradicts itself; its developer corrects the file."""

    status = 500


def error_code(cause: type[EntrepotError]) -> str:
    """Return the snake-case code of an error class, without the suffix `Error`."""
    return _CAMEL.sub("_", cause.__name__.removesuffix("Error")).lower()
