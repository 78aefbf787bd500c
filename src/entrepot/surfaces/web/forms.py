"""HTML forms by WTForms: every field that is wrong is told at once, in the visitor's language."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from litestar.datastructures import MultiDict
from wtforms import Field, Form, SelectField
from wtforms.fields import choices as library

from entrepot.surfaces.web.languages import Language

_OPTION: Any = cast("Any", library).SelectChoice
"""An option as the library wants it from 3.3 on, which its type stubs do not know yet."""

SomeForm = TypeVar("SomeForm", bound=Form)


def options(*pairs: tuple[str, str]) -> list[Any]:
    """Return the choices of a select or radio field: values with their marked titles."""
    return [_OPTION(value, title) for value, title in pairs]


def read_form(kind: type[SomeForm], sent: MultiDict[str] | None, language: Language, first: Mapping[str, object] | None = None) -> SomeForm:
    """Return a form with what was sent, or with its first values; the library's own messages speak the visitor's language."""
    meta = {"locales": [language.code.partition("_")[0]]}
    form = kind(formdata=sent, data=dict(first or {}), meta=meta)
    for field in form:
        if isinstance(field, SelectField):
            field.choices = [_OPTION(one.value, language.gettext(one.label)) for one in cast("list[Any]", field.choices)]
    return form


def described(field: Field, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a field's attributes with what screen readers need: what is wrong with it and its hint."""
    told = [f"{field.id}-hint"] if field.description else []
    told += [f"{field.id}-fault{number if number > 1 else ''}" for number in range(1, len(field.errors) + 1)]
    described_by = {"aria-describedby": " ".join(told)} if told else {}
    wrong = {"aria-invalid": "true"} if field.errors else {}
    return {**attributes, **described_by, **wrong}
