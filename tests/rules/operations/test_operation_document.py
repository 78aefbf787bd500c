"""The matrix as text, JSON and page."""

import json

from msgspec.structs import replace

from entrepot.operations.document import as_document, as_page, as_text
from entrepot.operations.model import STEP_LEGS, Step
from entrepot.operations.registry import REGISTRY


def test_text_fits_the_terminal_and_names_every_step():
    text = as_text(REGISTRY, 140)
    assert max(len(line) for line in text.splitlines()) <= 140
    assert len([line for line in text.splitlines() if line.startswith("picks ")]) == 1
    assert "store: platform; external:" in " ".join(text.split())


def test_text_grows_rather_than_break_on_a_narrow_terminal():
    assert "platform" in as_text(REGISTRY, 20)


def test_json_holds_every_cell():
    document = json.loads(json.dumps(as_document(REGISTRY)))
    cells = sum(len(STEP_LEGS[step]) for step in Step)
    assert [(model["code"], len(model["duties"])) for model in document["models"]] == [
        ("fba", cells),
        ("fbm", cells),
        ("global_purchase", cells),
        ("logistics_service", 2 * cells),
    ]
    assert {"step": "hold_money", "leg": "order", "channel": "external", "role": "channel", "note": "the platform bills services only"} in document[
        "models"
    ][3]["duties"]


def test_a_fifth_model_appears_on_the_page():
    page = as_page(REGISTRY.with_models(replace(REGISTRY.plan("fbm").model, code="consignment_store", title="Consignment store")))
    assert "| `consignment_store` | Consignment store |" in page
    assert "`consignment_store`" not in as_page(REGISTRY)
