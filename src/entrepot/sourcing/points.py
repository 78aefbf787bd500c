"""Where most people of a country live, for maps: one point per country, because whose door it is stays sealed."""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from io import StringIO


@cache
def country_points() -> Mapping[str, tuple[str, str]]:
    """Return latitude and longitude in degrees, as text, of each country that stores deliver to."""
    text = files("entrepot.sourcing").joinpath("seed", "country_points.csv").read_text(encoding="utf-8")
    return {row["country_code"]: (row["latitude"], row["longitude"]) for row in csv.DictReader(StringIO(text))}
