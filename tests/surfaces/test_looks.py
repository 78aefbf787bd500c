"""Nobody forgets a page: each address that answers with one is looked at, and each look is of an address that exists."""

import re

from benchmarks.look_pages import LOOKS, NO_PAGES
from litestar import Litestar
from tests.factories.phrases import TEMPLATES

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings

APP: Litestar = create_app(read_settings({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}))
ADDRESSES = {route.path_format.replace(":uuid", "") for route in APP.routes if "GET" in getattr(route, "methods", ())}


def test_every_page_of_the_application_is_looked_at():
    looked_at = {one.route for one in LOOKS}
    assert sorted(ADDRESSES - looked_at - NO_PAGES) == [], "Add the page to benchmarks/look_pages.py."
    assert sorted(NO_PAGES - ADDRESSES) == []
    assert sorted(looked_at - ADDRESSES) == ["/nowhere"]


def test_looks_have_names_of_their_own_and_give_what_their_address_needs():
    names = [one.name for one in LOOKS]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    wanting = [one.name for one in LOOKS for name in re.findall(r"\{(\w+)\}", one.route) if name not in one.given and name not in one.values]
    assert wanting == []


def test_lists_have_an_empty_state():
    files = [path for path in TEMPLATES.rglob("*.html") if "list_table(" in path.read_text() and path.name != "table.html"]
    assert len(files) > 5
    assert [path.name for path in files if "empty(" not in path.read_text()] == []
