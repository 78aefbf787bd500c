"""The matrix for people and programs: as a terminal table, as JSON and as the page `docs/operations.md`."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from entrepot.operations.model import STEP_LEGS, Channel, Fee, Leg, OperationModel, Step
from entrepot.operations.plan import Plan
from entrepot.operations.registry import Registry

STEP_LABELS: Final[Mapping[Step, str]] = MappingProxyType(
    {
        Step.SELL: "seller on the contract",
        Step.INVOICE_SALE: "seller on the invoice",
        Step.OWN_GOODS: "owns the goods",
        Step.FIRST_LEG: "first leg to the warehouse",
        Step.IMPORT_STOCK: "importer of record of the stock",
        Step.CLEAR_STOCK: "lodges the stock's customs entry",
        Step.RECEIVE_STOCK: "receives the stock",
        Step.STORE: "stores the goods",
        Step.REPLENISH: "decides on replenishment",
        Step.PICK: "picks",
        Step.PACK: "packs",
        Step.CARRY: "carries",
        Step.EXPORT_ORDER: "exporter of the order",
        Step.IMPORT_ORDER: "importer of the order",
        Step.CLEAR_ORDER: "lodges the order's declaration",
        Step.PAY_DUTY: "owes duty and import tax",
        Step.COLLECT_DUTY: "collects duty and import tax",
        Step.TAX_SALE: "taxable person for the sale",
        Step.COLLECT_TAX: "collects the tax on the sale",
        Step.HOLD_MONEY: "holds the buyer's money",
        Step.SET_PRICE: "sets the price",
        Step.ACCEPT_ORDER: "accepts the order",
        Step.KEEP_PROMISE: "keeps the promise",
        Step.ANSWER_CUSTOMER: "answers the customer",
        Step.TAKE_RETURN: "takes returns",
        Step.GRADE_RETURN: "grades returns",
        Step.EXCHANGE: "exchanges",
        Step.DECIDE_REFUND: "decides on refunds",
        Step.BEAR_LOSS: "bears loss and damage",
    }
)
"""What a step is called in the matrix."""

_INTRODUCTION: Final = """# Operation models

This page is written by `entrepot docs` from the declarations in `src/entrepot/operations/`. Change those, not this page.

An operation model declares who is responsible for each step on the way of goods, papers and money. The rest of the system asks the declaration
and never the model's name. A dated table fills each role of the platform per marketplace with a registered legal entity; a model opens in a
marketplace only when all the roles it requires are filled. Where a regime decides, the tax or customs rules of the destination name the party;
where a lane decides, the lane's contract does.
"""


def words(code: str) -> str:
    """Return a code as words."""
    return code.replace("_", " ")


def listed(codes: Iterable[str]) -> str:
    """Return codes as words in alphabetical order, separated by commas, or a dash."""
    return ", ".join(words(code) for code in sorted(codes)) or "-"


def row_label(step: Step, leg: Leg) -> str:
    """Return the label of a row; the leg is named where a step has several."""
    return STEP_LABELS[step] if len(STEP_LEGS[step]) == 1 else f"{STEP_LABELS[step]}, {leg} leg"


def cell_text(plan: Plan, step: Step, leg: Leg) -> str:
    """Return who does a step on a leg, per channel where the channels differ, with the declaration's note."""
    answers = {channel: plan.duty(step, leg=leg, channel=channel) for channel in Channel if plan.serves(channel)}
    texts = {channel: words(duty.role) + (f" ({duty.note})" if duty.note else "") for channel, duty in answers.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{channel}: {text}" for channel, text in texts.items())


def stores_text(model: OperationModel) -> str:
    """Return in words where a model may sell."""
    if model.stores.only:
        return ", ".join(sorted(model.stores.only))
    return "all marketplaces" + (f" but {', '.join(sorted(model.stores.but))}" if model.stores.but else "")


def fact_rows(plans: Sequence[Plan]) -> list[tuple[str, list[str]]]:
    """Return what a declaration says besides its duties: one label with one text per model."""
    models = [plan.model for plan in plans]
    return [
        ("code and version", [f"{model.code} {model.version}" for model in models]),
        ("open to", [model.admission.text for model in models]),
        ("suits", [model.suits for model in models]),
        ("channels", [listed(model.channels) for model in models]),
        ("sells in", [stores_text(model) for model in models]),
        ("stock lies in", [listed(model.stores_in) for model in models]),
        ("orders leave from", [listed(model.ships_from) for model in models]),
        ("customs regimes", [", ".join(f"{regime.code} from the {words(regime.place_kind)}" for regime in model.regimes) or "-" for model in models]),
        ("must be there first", [listed(model.needs) for model in models]),
        ("bears loss between", [f"{words(model.loss_bearing_from)} and {words(model.loss_bearing_to)}" for model in models]),
        ("tax rules", [words(model.tax_handling) for model in models]),
        ("merchant may take over", [listed(model.merchant_may_take_over) for model in models]),
        ("language of answers", [model.answer_language or "the buyer's" for model in models]),
        ("roles to fill", [listed(model.required_roles) for model in models]),
        ("documents", [", ".join(f"{words(d.code)}: {words(d.role)} ({d.need})" for d in model.documents) for model in models]),
        ("fees", [", ".join(_fee_text(fee) for fee in model.fees) for model in models]),
    ]


def duty_rows(plans: Sequence[Plan]) -> list[tuple[str, list[str]]]:
    """Return the matrix: one label per step and leg with one text per model."""
    return [(row_label(step, leg), [cell_text(plan, step, leg) for plan in plans]) for step in Step for leg in STEP_LEGS[step]]


def as_page(registry: Registry) -> str:
    """Return `docs/operations.md`."""
    plans = registry.plans()
    titles = [plan.model.title for plan in plans]
    models = _markdown_table(
        ["code", "title", "open to", "suits"],
        [[f"`{plan.model_code}`", plan.model.title, plan.model.admission.text, plan.model.suits] for plan in plans],
    )
    duties = _markdown_table(["step", *titles], [[label, *texts] for label, texts in duty_rows(plans)])
    facts = _markdown_table(["question", *titles], [[label, *texts] for label, texts in fact_rows(plans)])
    return f"{_INTRODUCTION}\n## The models\n\n{models}\n\n## Who does what\n\n{duties}\n\n## What else a declaration says\n\n{facts}\n"


def as_text(registry: Registry, width: int) -> str:
    """Return the matrix as a table for a terminal of `width` columns."""
    plans = registry.plans()
    label_width = 24
    column_width = max(14, (width - label_width - 3 * len(plans)) // len(plans))
    widths = [label_width, *([column_width] * len(plans))]
    rule = "-+-".join("-" * column for column in widths)
    lines = [*_wrapped_row(["", *(plan.model.title for plan in plans)], widths), rule.replace("-", "=").replace("+", "=")]
    for label, texts in [*fact_rows(plans)[:5], *duty_rows(plans), *fact_rows(plans)[5:]]:
        lines += [*_wrapped_row([label, *texts], widths), rule]
    return "\n".join(lines)


def as_document(registry: Registry) -> dict[str, object]:
    """Return the declarations as a JSON document."""
    return {"models": [_model_document(plan) for plan in registry.plans()]}


def _model_document(plan: Plan) -> dict[str, object]:
    model = plan.model
    return {
        "code": model.code,
        "title": model.title,
        "version": model.version,
        "admission": {
            "text": model.admission.text,
            "barred_countries": sorted(model.admission.barred_countries),
            "credentials": sorted(model.admission.credentials),
        },
        "sells_in": {"only": sorted(model.stores.only), "but": sorted(model.stores.but)},
        "channels": sorted(model.channels),
        "stores_in": sorted(model.stores_in),
        "ships_from": sorted(model.ships_from),
        "regimes": [
            {"code": r.code, "place_kind": r.place_kind, "stock_importer": r.stock_importer, "customs_status": r.customs_status}
            for r in model.regimes
        ],
        "needs": sorted(model.needs),
        "loss_bearing_from": model.loss_bearing_from,
        "loss_bearing_to": model.loss_bearing_to,
        "tax_handling": model.tax_handling,
        "required_roles": sorted(model.required_roles),
        "merchant_may_take_over": sorted(model.merchant_may_take_over),
        "answer_language": model.answer_language,
        "suits": model.suits,
        "duties": [
            {"step": step, "leg": leg, "channel": channel, "role": duty.role, "note": duty.note} for (step, leg, channel), duty in plan.cells()
        ],
        "fees": [{"code": fee.code, "trigger": fee.trigger, "channels": sorted(fee.channels or model.channels)} for fee in model.fees],
        "documents": [{"code": d.code, "role": d.role, "need": d.need} for d in model.documents],
    }


def _fee_text(fee: Fee) -> str:
    where = f", {listed(fee.channels)} only" if fee.channels else ""
    return f"{words(fee.code)} ({words(fee.trigger)}{where})"


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _wrapped_row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of one table row whose cells are wrapped to their columns."""
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    height = max(len(lines) for lines in wrapped)
    padded = [[*lines, *([""] * (height - len(lines)))] for lines in wrapped]
    return [" | ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip() for parts in zip(*padded, strict=True)]
