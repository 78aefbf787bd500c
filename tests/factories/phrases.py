"""The texts of the pages and their translations: what is marked, what is translated, and `make phrases`, which brings the catalogues up to date."""

import ast
import json
import re
import sys
import tomllib
from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from entrepot.operations.document import duty_rows, fact_rows, stores_text
from entrepot.operations.registry import REGISTRY
from entrepot.surfaces.web.languages import CODES, TRANSLATIONS
from entrepot.surfaces.web.words import plain_words, short_title

WEB = TRANSLATIONS.parent
HOUSE = WEB.parents[1]
TEMPLATES = WEB / "templates"
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None}
JINJA = {"extensions": "jinja2.ext.i18n", "trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
SHARED = "base"
CODE_AREA = "codes"
HEADER = """# Texts of the pages: `make phrases` gathers them, people translate them.
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plurals}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
ERRORS, MAILS = "errors", "mails"
DECLARED_LISTS = frozenset(
    {
        "channels",
        "stock lies in",
        "orders leave from",
        "must be there first",
        "bears loss between",
        "tax rules",
        "merchant may take over",
        "roles to fill",
        "documents",
        "fees",
    }
)
"""Rows of the declarations that are lists of terms."""
DECLARED_WHOLE = frozenset({"customs regimes", "language of answers"})
"""Rows of the declarations whose texts are said as a whole."""
AREAS = ("store", "merchant", "floor", "operator", "tour", ERRORS, MAILS)
"""Areas whose texts stand in a catalogue of their own: what only their folders of templates and Python files say; errors; mails."""
MAIL_TEXTS = HOUSE / "flows/mail_texts.py"

SHOWN_ENUMS = """
    orders/model.py: OrderState CheckoutState PaymentState PromiseOutcome
    freight/model.py: ParcelState TrackingState ConsignmentState LegKind
    customs/goods.py: NoRuleCause
    customs/model.py: DeclarationState DeclarationKind AnswerKind
    orders/hold.py: HoldReason
    books/money/model.py: Phase
    books/money/correction.py: CorrectionState
    books/stock/model.py: ReservationState
    catalogue/model.py: OfferState
    aftersales/model.py: ReturnState RefundState GradeCode DispositionCode CauseKind AuthorRole
    parties/accounts.py: StaffRole
    parties/model.py: KycState MerchantStatus
    base/actor.py: ActorKind
    operations/model.py: Role Step FeeCode CustomsStatus Need
    settlement/model.py: LineKind StatementState PayoutState InvoiceKind InvoiceState
    settlement/tax.py: TaxParty TaxRegime
    sourcing/model.py: Speed Reason
    warehouse/model.py: PlanState WorkState CauseKind InboundKind BinZone
    warehouse/scanning.py: ScanKind
    warehouse/inbound.py: LegKind
"""
"""Enumerations whose values are shown as words: a new value asks for its translations."""
UNSEEN = ("cli/", "world/", "migrations/", "surfaces/api/", "bootstrap/")
"""Where errors are raised that no page and no mail shows: programs and whoever runs the house read them, in English."""
SEEN = ("bootstrap/application.py", "bootstrap/database.py")
"""Files of those places whose errors a page does show."""
FOR_DEVELOPERS = "BrokenDeclarationError"
"""The kind of error that only whoever changes the product can meet."""
NOT_OURS = frozenset({"TypeError", "ValueError", "ValidationError", "ConnectError", "_NothingInForceError", FOR_DEVELOPERS})


@cache
def phrases() -> dict[object, str]:
    """Return every marked text (a pair for counted ones) with the area whose catalogue it belongs to: shared, when two areas say it."""
    found: dict[object, str] = {}
    paths = [*sorted(HOUSE.rglob("*.py")), *sorted(TEMPLATES.rglob("*.html"))]
    for path in paths:
        method, options = ("python", {}) if path.suffix == ".py" else ("jinja2.ext:babel_extract", JINJA)
        for _, text, _, _ in extract_from_file(method, path, keywords=KEYWORDS, options=options):
            found[text] = area_of(path) if found.get(text, area_of(path)) == area_of(path) else SHARED
    return {**dict.fromkeys([*code_texts(), *demo_names()], CODE_AREA), **dict.fromkeys([*error_titles(), *error_remedies()], ERRORS), **found}


def area_of(path: Path) -> str:
    if not path.is_relative_to(WEB):
        return MAILS if path == MAIL_TEXTS else ERRORS
    parts = path.relative_to(WEB).parts
    folder = parts[1] if parts[0] == "templates" and len(parts) > 2 else parts[0]
    return folder if folder in AREAS else SHARED


@cache
def code_texts() -> tuple[str, ...]:
    """Return the words of the values of the enumerations that pages show, and of what the operation models declare."""
    values = [value for line in SHOWN_ENUMS.split("\n") if line.strip() for value in enum_values(*line.strip().split(": "))]
    plans = REGISTRY.plans()
    declared = [text for label, texts in duty_rows(plans) for text in (label, *texts)] + [label for label, _ in fact_rows(plans)]
    models = [plan.model for plan in plans]
    sentences = [text for one in models for text in (one.title, short_title(one.title), one.suits, one.admission.text, stores_text(one))]
    whole = [text for label, texts in fact_rows(plans) if label in DECLARED_WHOLE for text in texts if re.search("[a-z]", text) and "-H" not in text]
    return tuple(dict.fromkeys([*whole, *(plain_words(value) for value in [*values, *declared, *declared_terms()]), *sentences]))


def declared_terms() -> list[str]:
    """Return the terms of what the models declare in lists, each of which is said on its own."""
    told = [text for label, texts in fact_rows(REGISTRY.plans()) if label in DECLARED_LISTS for text in texts]
    parts = [term for text in told for term in re.split(r", |: | and | \(|\)", text)]
    return [term for term in parts if re.fullmatch(r"[a-z][a-z ]+", term)]


def demo_names() -> list[str]:
    """Return what the demo's stores, buildings and people are called, which is said in the visitor's language."""
    stores = [tomllib.loads(path.read_text())["name"] for path in sorted((HOUSE / "catalogue/seed/marketplaces").glob("*.toml"))]
    places = json.loads((HOUSE / "sourcing/seed/places.json").read_text())["places"]
    people = json.loads((HOUSE / "parties/seed/demo_parties.json").read_text())["sign_ins"]
    return [name.removeprefix("Entrepot Demo ") for name in [*stores, *(one["name"] for one in places), *(one["display_name"] for one in people)]]


def error_files() -> list[Path]:
    """Return the files whose errors people can meet on a page or in a mail."""
    names = [(path, path.relative_to(HOUSE).as_posix()) for path in sorted(HOUSE.rglob("*.py"))]
    return [path for path, name in names if name in SEEN or not name.startswith(UNSEEN)]


def error_titles() -> list[str]:
    """Return the sentences of the errors that people can meet: what each means."""
    classes = [node for path in error_files() for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    return [ast.get_docstring(node) or "" for node in classes if is_error(node.name)]


def error_remedies() -> list[str]:
    """Return what the errors that people can meet tell them to do, with placeholders for their values."""
    return [remedy.value for path in error_files() for _, remedy in remedies_of(path.read_text()) if isinstance(remedy, ast.Constant)]


def remedies_of(source: str) -> list[tuple[int, ast.expr]]:
    """Return the line and the remedy of each error that a file makes."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and is_error(name_of(node.func))]
    given = [(call.lineno, [*call.args[2:3], *(one.value for one in call.keywords if one.arg == "remedy")]) for call in calls]
    return [(line, remedy) for line, remedies in given for remedy in remedies]


def is_error(name: str) -> bool:
    return name.endswith("Error") and name not in NOT_OURS


def name_of(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


def enum_values(path: str, names: str) -> list[str]:
    wanted = set(names.split())
    classes = [node for node in ast.parse((HOUSE / path).read_text()).body if isinstance(node, ast.ClassDef) and node.name in wanted]
    assert {node.name for node in classes} == wanted, path
    lines = [line for node in classes for line in node.body]
    return [line.value.value for line in lines if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant)]


def catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.name)


def translations(code: str) -> dict[str, Catalog]:
    """Return a language's catalogues by area."""
    return {path.stem: catalogue(path) for path in sorted((TRANSLATIONS / code).glob("*.po"))}


def is_translated(message: Message) -> bool:
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def placeholders(text: str) -> list[str]:
    return sorted(set(re.findall(r"%\(\w+\)[sd]", text)))


def update() -> int:
    """Write every text that is not yet translated into its area's catalogue, drop what nobody says any more; return how many wait."""
    waiting = 0
    said = phrases()
    for code in CODES[1:]:
        known = {message.id: message.string for area in translations(code).values() for message in area if message.id and is_translated(message)}
        kept = {message.id: area for area, texts in translations(code).items() for message in texts if message.id and area not in {SHARED, *AREAS}}
        for area in sorted({*said.values(), *kept.values(), SHARED}):
            fresh = Catalog(locale=code)
            texts = {text for text, at in said.items() if at == area} | {text for text, at in kept.items() if at == area and text not in said}
            for text in sorted(texts, key=str):
                fresh.add(text, known.get(text, ("",) * fresh.num_plurals if isinstance(text, tuple) else ""))
                waiting += text not in known
            write_catalogue(TRANSLATIONS / code / f"{area}.po", fresh)
    return waiting


def write_catalogue(path: Path, texts: Catalog) -> None:
    """Write a catalogue with a header that says nothing about when and by whom, so that two people's files differ only where their texts do."""
    told = BytesIO()
    write_po(told, texts, width=0, omit_header=True, sort_output=False)
    header = HEADER.format(language=texts.locale_identifier, plurals=texts.plural_forms)
    path.write_text(header + told.getvalue().decode())


if __name__ == "__main__":
    sys.stdout.write(f"{update()} texts wait for a translation\n")
