"""What a person asks of an import: the models its SKUs are spread over, how dates are read, and what the file does not say about products."""

import csv
import hashlib
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from entrepot.base.errors import ConflictError, RefusedInputError, UnknownReferenceError
from entrepot.catalogue.model import check_classification
from entrepot.world.order_file import DateMode, ReadOptions
from entrepot.world.order_lines import normal_sku

_CLASSIFY_COLUMNS: Final = ("sku", "hs_code", "origin")
_CONTAINERS: Final = (".xz", ".gz", ".csv", ".txt", ".tsv")
_NOT_CODE: Final = re.compile(r"[^a-z0-9]+")


class ModelSharesNotReadableError(RefusedInputError):
    """The operation models and their shares do not read as `model=share` pairs."""


class ModelNotForImportError(RefusedInputError):
    """This operation model does not sell in the store that the orders belong to; spread the SKUs over others."""


class ClassificationNotReadableError(RefusedInputError):
    """The file of classifications is no CSV with the columns sku, hs_code and origin."""


class ClassificationMissingError(UnknownReferenceError):
    """There is no readable file of classifications at this path."""


class ImportUnfinishedError(ConflictError):
    """Another import of orders was begun in this database and is not finished; finish it first."""


class ImportRunsAlreadyError(ConflictError):
    """Another program does the same import in this moment; let it finish."""


class ProductDefaults(Struct, frozen=True):
    """What every product of the file is taken to be like: measures of one unit, category, classification, cost in per cent of the price."""

    category_code: str
    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int
    hs_code: str
    origin_country_code: str
    cost_percent: int


class ImportDefaults(Struct, frozen=True):
    """What the file does not say: the store, its country, currency and time zone, the spread over models, the products."""

    marketplace_code: str
    country_code: str
    currency: str
    time_zone: str
    models: str
    product: ProductDefaults


class Classified(Struct, frozen=True):
    """HS code and origin that a merchant declares for one SKU."""

    hs_code: str
    origin_country_code: str


class ImportTerms(Struct, frozen=True):
    """One import as it was asked for; `shares` spread SKUs over models, `classes` hold what the merchant declared by SKU."""

    path: Path
    shares: tuple[tuple[str, int], ...]
    date_mode: DateMode = DateMode.SHIFT
    column_map: Mapping[str, str] = field(default_factory=dict[str, str])
    classes: Mapping[str, Classified] = field(default_factory=dict[str, Classified])
    limit: int | None = None

    @property
    def merchant_code(self) -> str:
        """The code of the merchant whose orders these are, which follows from the file's name."""
        name = self.path.name.lower()
        while name.endswith(_CONTAINERS):
            name = name.rpartition(".")[0]
        return f"import-{_NOT_CODE.sub('-', name).strip('-') or 'orders'}"

    @property
    def document(self) -> dict[str, object]:
        """The options that decide what is written, as they are kept to tell whether a later call asks for the same."""
        return {
            "models": dict(self.shares),
            "dates": str(self.date_mode),
            "map": dict(self.column_map),
            "limit": self.limit,
            "classify": _fingerprint(self.classes),
        }

    def read_options(self, today: date) -> ReadOptions:
        """Return how the file is read by an import that began on `today`."""
        defaults = import_defaults()
        return ReadOptions(today, defaults.currency, self.date_mode, self.column_map, time_zone=defaults.time_zone, limit=self.limit)

    def model_of(self, sku: str) -> str:
        """Return the model that a SKU is sold by: its hash falls into one of the shares."""
        place = int.from_bytes(hashlib.blake2b(sku.encode(), digest_size=8).digest(), "big") % sum(share for _, share in self.shares)
        for model_code, share in self.shares:
            place -= share
            if place < 0:
                return model_code
        return self.shares[-1][0]


@cache
def import_defaults() -> ImportDefaults:
    """Return the assumptions that ship with the product."""
    return msgspec.convert(tomllib.loads((files("entrepot.world") / "seed" / "import_defaults.toml").read_text("utf-8")), type=ImportDefaults)


def parse_shares(text: str) -> tuple[tuple[str, int], ...]:
    """Read `model=share` pairs, whole shares of at least 1, each model once."""
    shares: dict[str, int] = {}
    for part in text.split(","):
        model_code, _, share = (piece.strip() for piece in part.partition("="))
        if not model_code or model_code in shares or not (share.isascii() and share.isdigit()) or int(share) < 1:
            raise ModelSharesNotReadableError("models", part, f"Write model=share for each model once, such as {import_defaults().models}.")
        shares[model_code] = int(share)
    return tuple(shares.items())


def read_classes(path: Path) -> dict[str, Classified]:
    """Read HS code and origin by SKU from a CSV file with the columns sku, hs_code and origin."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as cause:
        raise ClassificationMissingError("classify", str(path), f"Give the path of a file that can be read ({cause.strerror}).") from None
    except UnicodeDecodeError:
        raise ClassificationNotReadableError("classify", str(path), "Save it as UTF-8.") from None
    reader = csv.DictReader(text.splitlines())
    missing = [name for name in _CLASSIFY_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ClassificationNotReadableError("classify", str(path), f"Begin it with {','.join(_CLASSIFY_COLUMNS)}; {', '.join(missing)} is missing.")
    classes: dict[str, Classified] = {}
    for row in reader:
        hs_code, origin = (row["hs_code"] or "").strip().replace(".", ""), (row["origin"] or "").strip().upper()
        check_classification(hs_code, origin)
        classes[normal_sku(row["sku"] or "")] = Classified(hs_code, origin)
    return classes


def _fingerprint(classes: Mapping[str, Classified]) -> str | None:
    """Return a short text that differs when the classifications do."""
    if not classes:
        return None
    listed = "\n".join(f"{sku},{one.hs_code},{one.origin_country_code}" for sku, one in sorted(classes.items()))
    return hashlib.blake2b(listed.encode(), digest_size=16).hexdigest()
