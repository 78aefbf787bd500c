"""What tests of pages share."""

import pytest
from tests.factories.browser import opened_browser


@pytest.fixture(scope="module")
def browser(address):
    """The browser, opened after the module's house is served: its driver keeps an event loop running."""
    with opened_browser() as browser:
        yield browser
