"""Schemathesis reads the OpenAPI document and tries to find an answer that breaks it."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from entrepot.surfaces.api.document import document

PROGRAM = Path(sys.executable).with_name("schemathesis")
PATIENCE_S = 240
EXAMPLES = 30
CHECKED = ["--checks", "all", "--generation-deterministic", "--workers", "1"]


def run(shop, directory, text, *options):
    """Run it against the shop; the document's examples name an offer that the shop has."""
    (offer,) = {one["offer_id"] for one in document()["paths"]["/orders"]["post"]["requestBody"]["content"]["application/json"]["example"]["lines"]}
    path = directory / "openapi.json"
    path.write_text(text.replace(offer, str(shop.offer.offer_id)))
    command = [PROGRAM, "run", path, "--url", shop.address, "--header", "Authorization: Bearer storefront-token", *CHECKED, *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_public_api_keeps_its_contract(shop, tmp_path):
    har = tmp_path / "answers.har"
    done = run(
        shop,
        tmp_path,
        json.dumps(document()),
        "--max-examples",
        str(EXAMPLES),
        "--continue-on-failure",
        "--report",
        "har",
        "--report-har-path",
        str(har),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = Counter((one["request"]["method"], address_of(one["request"]["url"]), one["response"]["status"]) for one in entries(har))
    orders = {status for method, address, status in seen if (method, address) == ("POST", "/orders")}
    assert orders >= {200, 201, 401, 403, 404, 409, 415, 422}, seen
    assert {status for method, address, status in seen if (method, address) == ("POST", "/quotes")} >= {200, 401, 403, 404, 415, 422}, seen
    assert {status for method, address, status in seen if (method, address) == ("GET", "/requests/")} >= {200, 401, 403, 404, 422}, seen
    assert {status for _, address, status in seen if address == "/health"} >= {200, 405}, seen


def entries(har):
    return json.loads(har.read_text())["log"]["entries"]


def address_of(url):
    return re.sub(r"^http://[^/]+(/requests/)?([^?]*).*", lambda found: found[1] or found[2], url)


@pytest.mark.parametrize(
    ("broken", "finding"),
    [
        (lambda text: text.replace('"200"', '"202"'), "Undocumented status code"),
        (lambda text: text.replace('"checkout_id": {"type": "string"', '"checkout_id": {"type": "integer"'), "Response violates schema"),
    ],
)
def test_a_document_that_lies_is_found(shop, tmp_path, broken, finding):
    text = json.dumps(document())
    assert broken(text) != text
    done = run(shop, tmp_path, broken(text), "--phases", "examples")
    assert done.returncode == 1
    assert finding in done.stdout, done.stdout
