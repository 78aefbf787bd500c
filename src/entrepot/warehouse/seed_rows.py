"""Loads the rows that ship with the warehouse: demonstration cartons and the published adjustment reasons."""

import csv
from collections.abc import Callable, Mapping
from datetime import date
from importlib.resources import files

from entrepot.base.sql import Conn
from entrepot.warehouse.store_floor import insert_seed_rows


def _read(name: str, numbers: frozenset[str]) -> list[dict[str, object]]:
    text = (files("entrepot.warehouse") / "seed" / name).read_text(encoding="utf-8")
    return [{field: _converter(field, numbers)(value) for field, value in row.items()} for row in csv.DictReader(text.splitlines())]


def _optional_date(value: str) -> date | None:
    return date.fromisoformat(value) if value else None


def _is_true(value: str) -> bool:
    return value == "true"


def _converter(field: str, numbers: frozenset[str]) -> Callable[[str], object]:
    known: Mapping[str, Callable[[str], object]] = {"effective_from": _optional_date, "effective_to": _optional_date, "is_active": _is_true}
    return int if field in numbers else known.get(field, str)


async def seed_warehouse(conn: Conn) -> int:
    """Add the shipped rows that are missing; returns how many are new."""
    cartons = _read("cartons.csv", frozenset({"length_mm", "width_mm", "height_mm", "tare_g", "max_weight_g"}))
    reasons = _read("adjustment_reasons.csv", frozenset())
    return await insert_seed_rows(conn, cartons, reasons)
