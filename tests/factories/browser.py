"""A served database and the system's Chromium, for tests that look at pages as people do."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60


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


@contextmanager
def served(database_url, data):
    """Serve a database's pages from a process of their own on loopback; give the address."""
    port = free_port()
    passed_on = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    environment = passed_on | {"DATABASE_URL": database_url, "ENTREPOT_PORT": str(port), "ENTREPOT_DATA": str(data), "ENTREPOT_LOG_LEVEL": "warning"}
    with subprocess.Popen([sys.executable, "-P", "-m", "entrepot.cli.main", "_web"], env=environment) as process:
        try:
            until = time.monotonic() + PATIENCE_S
            while not is_healthy(port):
                assert process.poll() is None, "the web process ended"
                assert time.monotonic() < until, "the web process does not answer"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


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
