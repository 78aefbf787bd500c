"""The system's Chromium, for tests that look at pages as people do."""

import os
import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium():
    """Return the path of the system's Chromium, or None."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@contextmanager
def opened_browser():
    """Open the system's Chromium; as root it starts only without its sandbox."""
    flags = ["--disable-gpu", "--disable-background-networking", "--hide-scrollbars", *(["--no-sandbox"] if os.getuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        try:
            yield browser
        finally:
            browser.close()


def watch_console(page):
    """Return a list that fills with what the page's console complains about."""
    complaints = []
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}") if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    return complaints


def sign_in(page, address, login):
    """Sign in through the form."""
    page.goto(f"{address}/sign-in")
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill("demo")
    page.locator("form:has(input[type=password]) button[type=submit]").first.click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
