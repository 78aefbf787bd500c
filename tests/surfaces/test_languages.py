"""Every text of the pages is there in every language: nothing missing, nothing doubtful, nothing said past the catalogues."""

import ast
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from tests.factories.phrases import CODE_AREA, TEMPLATES, error_files, is_translated, phrases, placeholders, remedies_of, translations

from entrepot.base.states import TransitionNotAllowedError
from entrepot.flows.plan_checkout import NoTaxRuleError
from entrepot.orders.model import QuoteExpiredError
from entrepot.parties.account_safety import PasswordTooShortError
from entrepot.surfaces.web.languages import CODES, choose_language, language
from entrepot.surfaces.web.order_view import noted
from entrepot.surfaces.web.words import (
    account,
    country,
    declared,
    money,
    number,
    percent,
    place,
    remedy,
    short_title,
    span,
    state_words,
    told,
    window,
    words,
)
from entrepot.warehouse.model import ImporterMissingError

OTHERS = CODES[1:]
UNTRANSLATED = {"Entrepot", "mm", "g", "kg", "SKU", "EUR", "UTC", "ms", "GTIN"}
"""Words that are the same in every language: the product's name, units, and abbreviations of the trade."""
HIDDEN = re.compile(r"\{#.*?#\}|\{% block body_class %\}\w+|<code>.*?</code>|\{%.*?%\}|\{\{.*?\}\}|<(script|style)\b.*?</\1>|&\w+;", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")
SPOKEN_ATTRIBUTE = re.compile(r'\b(?:aria-label|title|alt|placeholder)="([^"]*)"')
STRINGS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
UNMARKED = re.compile(r"""(?<![_t(])(?:\(|,\s*|or |else )"([A-Z][a-z]+(?: [^"]*)?)\"""")


def unspoken(template: str) -> list[str]:
    """Return the words of a template that no catalogue knows: between tags, in attributes that are read out, and as arguments of macros."""
    text = HIDDEN.sub("\x00", template)
    between = [word for part in re.findall(r">([^<]*)", ">" + text) for word in WORD.findall(part)]
    read_out = [word for part in SPOKEN_ATTRIBUTE.findall(text) for word in WORD.findall(part)]
    marked = [re.sub(r"_\(\s*(\"[^\"]*\"|'[^']*')|ngettext\(\"[^\"]*\", \"[^\"]*\"", "_", part) for part in STRINGS.findall(template)]
    given = [text for part in marked for text in UNMARKED.findall(part)]
    return [word for word in [*between, *read_out, *given] if word not in UNTRANSLATED]


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.relative_to(TEMPLATES).as_posix())
def test_templates_say_nothing_past_the_catalogues(path):
    allowed = {"Leeds", "Kitchen"} if path.name == "design.html" else {"Demo"}
    assert [word for word in unspoken(path.read_text()) if word not in allowed and not word.startswith(("Entrepot ", "Leeds "))] == []


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("<p>Hello</p>", ["Hello"]),
        ('<p>{{ _("Hello") }}</p>', []),
        ("<p>{{ name }} owes</p>", ["owes"]),
        ('<input placeholder="Number">', ["Number"]),
        ("<input placeholder=\"{{ _('Number') }}\">", []),
        ('{{ empty("Nothing here", _("Look elsewhere")) }}', ["Nothing here"]),
        ('{{ name or "Nobody" }}', ["Nobody"]),
        ("<b>Entrepot</b>", []),
        ("{# A comment #}<b>{% if a %}{{ a }}{% endif %}</b>", []),
    ],
)
def test_the_check_sees_what_it_should(template, found):
    assert unspoken(template) == found


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated_once_with_the_same_placeholders(code):
    by_area = translations(code)
    messages = [(area, message) for area, texts in by_area.items() for message in texts if message.id]
    ids = [message.id for _, message in messages]
    assert sorted({str(one) for one in ids if ids.count(one) > 1}) == []
    assert sorted(str(text) for text in phrases() if text not in ids) == [], "Run `make phrases`, then translate."
    assert [message.id for area, message in messages if area != CODE_AREA and message.id not in phrases()] == [], "Run `make phrases`."
    assert [message.id for _, message in messages if not is_translated(message)] == []
    assert [message.id for _, message in messages if message.fuzzy] == []
    differing = []
    for _, message in messages:
        wanted = placeholders(message.id if isinstance(message.id, str) else message.id[1])
        strings = [message.string] if isinstance(message.string, str) else list(message.string)
        differing += [message.id for string in strings if placeholders(string) != wanted]
    assert differing == []


def test_every_error_that_people_meet_tells_a_text_of_the_catalogues():
    found = [(path, line, one) for path in error_files() for line, one in remedies_of(path.read_text())]
    assert len(found) > 200
    unknown = [f"{path}:{line} {ast.unparse(one)}" for path, line, one in found if not isinstance(one, ast.Constant | ast.Subscript)]
    assert unknown == [], 'Write the remedy as a text with named values: `"Use at least %(least)s characters.", least=12`.'


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ('raise UnknownStoreError("a", 1, "Go.")', [ast.Constant]),
        ('raise UnknownStoreError("a", 1, f"Go to {b}.")', [ast.JoinedStr]),
        ('return UnknownStoreError("a", 1, remedy=b)', [ast.Name]),
        ('raise ValueError("a", 1, f"Go to {b}.")', []),
    ],
)
def test_the_check_of_errors_sees_what_it_should(source, kinds):
    assert [type(one) for _, one in remedies_of(source)] == kinds


def test_errors_tell_what_to_do_in_every_language_and_programs_in_english():
    spoken = [language(code) for code in CODES]
    short = PasswordTooShortError("password", "3", "Use at least %(least)s characters.", least=1200)
    assert short.remedy == "Use at least 1200 characters."
    assert [remedy(one, short) for one in spoken] == [
        "Use at least 1,200 characters.",
        "Verwenden Sie mindestens 1.200 Zeichen.",
        "请至少使用 1,200 个字符。",
    ]
    told_at = datetime(2026, 9, 8, 7, 30, tzinfo=UTC)
    gone = QuoteExpiredError("quote_id", "7", "It held until %(at)s; ask for a new quote.", at=told_at)
    assert gone.remedy == "It held until 2026-09-08T07:30:00+00:00; ask for a new quote."
    assert remedy(spoken[1], gone) == "Sie galt bis 8. Sept. 2026, 07:30 UTC; fragen Sie nach einer neuen."
    where = ImporterMissingError("importer", None, "Name who imports into %(country)s.", country="DE")
    assert (where.remedy, remedy(spoken[0], where)) == ("Name who imports into DE.", "Name who imports into Germany.")
    states = TransitionNotAllowedError("offer.state", "live", "It may become %(states)s, not %(state)s.", states=["closed", "paused"], state="live")
    assert str(states) == "transition_not_allowed: offer.state = 'live'. It may become closed, paused, not live."
    assert remedy(spoken[0], states) == "It may become Closed or Paused, not Live."
    ruled = NoTaxRuleError("country", "DE", "%(note)s on %(day)s; the operator confirms one.", note="no tax rule in force", day=told_at.date())
    assert remedy(spoken[1], ruled) == "8. Sept. 2026: keine Steuerregel in Kraft; der Betreiber bestätigt eine."
    assert told(spoken[2], short).endswith("请至少使用 1,200 个字符。")


def test_a_language_says_codes_money_and_counts_its_own_way():
    german, chinese, english = language("de"), language("zh_Hans"), language("en")
    assert [words(one, "awaiting_payment") for one in (english, german, chinese)] == ["Awaiting payment", "Wartet auf Zahlung", "待付款"]
    assert [state_words(one, "hit") for one in (english, german, chinese)] == ["Kept", "Gehalten", "已兑现"]
    assert [money(one, 123456, "EUR") for one in (english, german, chinese)] == ["€1,234.56", "1.234,56\xa0€", "€1,234.56"]
    assert [money(english, -123, code) for code in ("USD", "CAD", "JPY")] == ["\u2212$1.23", "\u2212CA$1.23", "\u2212¥123"]
    assert [number(one, 1234567) for one in (german, chinese)] == ["1.234.567", "1,234,567"]
    assert [country(one, "DE") for one in (english, german, chinese)] == ["Germany", "Deutschland", "德国"]
    assert place(german, "@carrier") == "Beim Zusteller"
    assert [one.ngettext("%(count)s row", "%(count)s rows", 1, count=1) for one in (english, german, chinese)] == ["1 row", "1 Zeile", "1 行"]
    assert german.gettext("Page %(number)s", number=3) == "Seite 3"
    assert words(german, "a_code_nobody_translated") == "A code nobody translated"
    assert [percent(one, Decimal("0.055")) for one in (english, german, chinese)] == ["5.5%", "5,5\xa0%", "5.5%"]
    assert [account(one, "duty.DE") for one in (english, german, chinese)] == ["Duty: Germany", "Zoll: Deutschland", "关税\uff1a德国"]
    assert [short_title(one.gettext("FBA (fulfilled by the platform)")) for one in (english, german, chinese)] == ["FBA"] * 3
    assert [words(one, "kyc_approved_2") for one in (english, german, chinese)] == ["Check approved", "Prüfung genehmigt", "审核通过"]
    assert [words(one, "add_registration_GB_vat") for one in (english, german, chinese)] == [
        "Add registration: GB VAT number",
        "Nummer eintragen: GB USt-IdNr.",
        "登记号码\uff1aGB 增值税号",
    ]


def test_spans_notes_and_declarations_have_no_code_in_them():
    spoken = [language(code) for code in CODES]
    assert [span(one, 600) for one in spoken] == ["10 h", "10 Std.", "10 小时"]
    assert span(spoken[0], 601) == "10 h 1 min"
    assert [declared(one, "zh-Hans") for one in spoken] == ["Chinese (Simplified)", "Chinesisch (Vereinfacht)", "中文 (简体)"]
    assert [declared(one, "the buyer's") for one in spoken] == ["the buyer's", "die des Käufers", "买家的语言"]
    cancelled = "line 1: 2 by buyer, changed_mind"
    assert [noted(one, cancelled) for one in spoken] == [
        "2 units of line 1 · Buyer · Changed mind",
        "2 Stück von Position 1 · Käufer · Meinung geändert",
        "第 1 行 2 件 · 买家 · 改变主意",
    ]
    assert [noted(spoken[1], note) for note in ("address_check: No such street.", "out_of_stock", "Called: nobody in.")] == [
        "Adressprüfung: No such street.",
        words(spoken[1], "out_of_stock"),
        "Called: nobody in.",
    ]


def test_a_window_of_one_day_names_it_once():
    first, last = (date(2026, 9, day) for day in (8, 10))
    assert window(language("de"), first, first) == "Di., 8. Sept."
    assert window(language("zh_Hans"), first, last) == "9月8日周二至9月10日周四"


@pytest.mark.parametrize(
    ("wishes", "accepted", "chosen"),
    [
        ((), "de-AT,de;q=0.9,en;q=0.8", "de"),
        ((), "fr-FR,zh-CN;q=0.5", "zh_Hans"),
        ((), "fr", None),
        ((), "", None),
        ((), "en;q=0, de;q=0.1", "de"),
        ((), "en;q=0.2, de;q=0.9", "de"),
        ((), "de;q=nonsense, en;q=0.1", "en"),
        (("zh_Hans",), "de", "zh_Hans"),
        (("", "de"), "en", "de"),
        (("xx", ""), "en-US", "en"),
    ],
)
def test_the_choice_comes_before_the_account_and_the_browser(wishes, accepted, chosen):
    assert choose_language(wishes, accepted) == chosen
