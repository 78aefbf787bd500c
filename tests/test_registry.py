"""Every table keeps the rules that let the schema spread over several machines, and each rule is shown to fail on a bad table."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    Enum,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy import (
    Sequence as SequenceDefault,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, ENUM, REAL, ExcludeConstraint

import entrepot
from entrepot.base.tables import CLASS_KEYS, TableClass
from entrepot.bootstrap.tables import all_tables
from entrepot.flows.check_laws import PARTS

HOUSE = Path(entrepot.__file__).parent
FLOATS = (Float, REAL, DOUBLE_PRECISION)
MONEY_ENDINGS = ("_minor",)

Rule = Callable[[Table], Iterator[str]]


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(HOUSE).parent.parts)


def packages_with_tables() -> set[str]:
    return {package_of(path) for path in HOUSE.rglob("tables.py")} - {"bootstrap"}


def class_of(table: Table) -> TableClass | None:
    found = table.info.get("class")
    return found if isinstance(found, TableClass) else None


def names_of(columns: Sequence[Column[object]]) -> list[str]:
    return [column.name for column in columns]


def unique_keys(table: Table) -> Iterator[tuple[str, list[str]]]:
    """Yield the primary key and every unique constraint, unique index and exclusion with its columns in order."""
    yield "primary key", names_of(list(table.primary_key.columns))
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint | ExcludeConstraint):
            yield "unique constraint", names_of(list(constraint.columns))
    yield from (("unique index", [getattr(part, "name", str(part)) for part in index.expressions]) for index in table.indexes if index.unique)


def class_and_owner_are_declared(table: Table) -> Iterator[str]:
    if class_of(table) is None:
        yield "declares no class"
    if table.info.get("owner") not in packages_with_tables():
        yield f"owner {table.info.get('owner')!r} is no package with tables"


def keys_lead_with_the_class_key(table: Table) -> Iterator[str]:
    allowed = CLASS_KEYS.get(class_of(table) or TableClass.LOCAL, frozenset())
    for kind, columns in unique_keys(table):
        if not columns:
            yield f"has no {kind}"
        elif allowed and columns[0] not in allowed:
            yield f"{kind} ({', '.join(columns)}) does not lead with {' or '.join(sorted(allowed))}"


def the_class_key_is_never_null(table: Table) -> Iterator[str]:
    for name in CLASS_KEYS.get(class_of(table) or TableClass.LOCAL, frozenset()):
        if name in table.columns and table.columns[name].nullable and name == next(iter(names_of(list(table.primary_key.columns))), ""):
            yield f"{name} may be null"


def foreign_keys_stay_inside(table: Table) -> Iterator[str]:
    """A foreign key joins tables of one package and one class on the class key, or leads to a reference table of the package."""
    for constraint in table.foreign_key_constraints:
        target = constraint.referred_table
        columns, referred = list(constraint.column_keys), [element.column.name for element in constraint.elements]
        label = f"foreign key ({', '.join(columns)}) to {target.name}"
        if target.info.get("owner") != table.info.get("owner"):
            yield f"{label} leaves the package"
        if class_of(target) is TableClass.REFERENCE:
            continue
        if class_of(target) is not class_of(table):
            yield f"{label} leaves the class"
        allowed = CLASS_KEYS.get(class_of(table) or TableClass.LOCAL, frozenset())
        if allowed and (columns[0] not in allowed or columns[0] != referred[0]):
            yield f"{label} does not lead with the class key"
        if (constraint.ondelete or "").upper() == "SET NULL":
            yield f"{label} sets null on delete"


def parts_stay_inside(table: Table) -> Iterator[str]:
    """What is part of a row carries that row's whole key, in the same package and class."""
    name = table.info.get("part_of")
    if not name:
        return
    whole = table.metadata.tables.get(name)
    if whole is None:
        yield f"is part of {name}, which is no table"
        return
    if (whole.info["owner"], whole.info["class"]) != (table.info["owner"], table.info["class"]):
        yield f"is part of {name}, which is of another package or class"
    missing = {column.name for column in whole.primary_key.columns} - set(names_of(list(table.columns)))
    if missing:
        yield f"is part of {name} and lacks its {', '.join(sorted(missing))}"


def test_every_part_is_proven():
    declared = {name for name, table in all_tables().tables.items() if table.info["part_of"]}
    assert declared == {table.name for table in PARTS}


def ids_are_given(table: Table) -> Iterator[str]:
    """No serial, identity or sequence, and no value that the database makes up from its clock or from chance."""
    whole = [column for column in table.primary_key.columns if isinstance(column.type, Integer | BigInteger | SmallInteger)]
    if len(table.primary_key.columns) == 1 and any(column.autoincrement is True for column in whole):
        yield "counts its own key"
    for column in table.columns:
        if column.identity is not None or isinstance(column.default, SequenceDefault):
            yield f"{column.name} counts itself"
        text = str(getattr(column.server_default, "arg", "") if column.server_default is not None else "").lower()
        if any(word in text for word in ("nextval", "now(", "current_", "clock_", "random", "uuid")):
            yield f"{column.name} has the default {text}"


def types_are_plain(table: Table) -> Iterator[str]:
    for column in table.columns:
        kind = column.type.item_type if isinstance(column.type, ARRAY) else column.type
        if isinstance(kind, Enum | ENUM):
            yield f"{column.name} is a database enum"
        if isinstance(kind, FLOATS):
            yield f"{column.name} is a float"
        if isinstance(kind, DateTime) and not kind.timezone:
            yield f"{column.name} has no time zone"
        if column.name.endswith(MONEY_ENDINGS) and not isinstance(kind, BigInteger):
            yield f"{column.name} counts money in a column that is too small or no whole number"


RULES: tuple[Rule, ...] = (
    class_and_owner_are_declared,
    keys_lead_with_the_class_key,
    the_class_key_is_never_null,
    foreign_keys_stay_inside,
    parts_stay_inside,
    ids_are_given,
    types_are_plain,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_tables(rule):
    faults = [f"{table.info.get('owner')}: {table.name}: {fault}" for table in all_tables().sorted_tables for fault in rule(table)]
    assert not faults, "\n".join(faults)


def test_every_table_is_declared_by_the_package_that_owns_it():
    declared = {(package_of(path), path.read_text()) for path in HOUSE.rglob("tables.py")}
    strangers = [
        f"{table.name} says {table.info['owner']}"
        for table in all_tables().tables.values()
        if not any(package == table.info["owner"] and f'"{table.name}"' in text for package, text in declared)
    ]
    assert strangers == []


def bad(*items, table_class: object = TableClass.TENANT, owner: object = "orders", beside: Table | None = None) -> Table:
    """Return a table that is not in the product."""
    metadata = MetaData() if beside is None else beside.metadata
    return Table("bad", metadata, *items, info={"class": table_class, "owner": owner})


def key(*names: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*names)


def merchant() -> Column[object]:
    return Column("merchant_id", Uuid, nullable=False)


def other(table_class: TableClass, owner: str) -> Table:
    columns = (merchant(), Column("code", Text, nullable=False), UniqueConstraint("code"), UniqueConstraint("merchant_id", "code"))
    return Table("other", MetaData(), *columns, key("merchant_id", "code"), info={"class": table_class, "owner": owner})


def pointing(target: Table, *columns: str, ondelete: str | None = None) -> Table:
    foreign = ForeignKeyConstraint(columns, [f"other.{name}" for name in columns], ondelete=ondelete)
    return bad(merchant(), Column("code", Text), key("merchant_id"), foreign, beside=target)


def part_of(name: str, whole: Table, *columns: Column[object]) -> Table:
    made = bad(*columns, key("merchant_id"), beside=whole)
    made.info["part_of"] = name
    return made


BAD = (
    (class_and_owner_are_declared, lambda: bad(merchant(), key("merchant_id"), table_class=None)),
    (class_and_owner_are_declared, lambda: bad(merchant(), key("merchant_id"), owner="nowhere")),
    (keys_lead_with_the_class_key, lambda: bad(merchant())),
    (keys_lead_with_the_class_key, lambda: bad(merchant(), Column("code", Text), key("code", "merchant_id"))),
    (keys_lead_with_the_class_key, lambda: bad(merchant(), Column("code", Text), key("merchant_id"), UniqueConstraint("code"))),
    (keys_lead_with_the_class_key, lambda: bad(merchant(), Column("code", Text), key("merchant_id"), Index("ix", "code", unique=True))),
    (the_class_key_is_never_null, lambda: bad(Column("merchant_id", Uuid, primary_key=True, nullable=True))),
    (foreign_keys_stay_inside, lambda: pointing(other(TableClass.TENANT, "freight"), "merchant_id", "code")),
    (foreign_keys_stay_inside, lambda: pointing(other(TableClass.PERSON, "orders"), "merchant_id", "code")),
    (foreign_keys_stay_inside, lambda: pointing(other(TableClass.TENANT, "orders"), "code")),
    (foreign_keys_stay_inside, lambda: pointing(other(TableClass.REFERENCE, "freight"), "code")),
    (foreign_keys_stay_inside, lambda: pointing(other(TableClass.TENANT, "orders"), "merchant_id", "code", ondelete="SET NULL")),
    (parts_stay_inside, lambda: part_of("nothing", other(TableClass.TENANT, "orders"), merchant(), Column("code", Text))),
    (parts_stay_inside, lambda: part_of("other", other(TableClass.TENANT, "freight"), merchant(), Column("code", Text))),
    (parts_stay_inside, lambda: part_of("other", other(TableClass.PERSON, "orders"), merchant(), Column("code", Text))),
    (parts_stay_inside, lambda: part_of("other", other(TableClass.TENANT, "orders"), merchant())),
    (ids_are_given, lambda: bad(Column("line_no", Integer, primary_key=True, autoincrement=True))),
    (ids_are_given, lambda: bad(merchant(), Column("line_no", Integer, Identity()), key("merchant_id"))),
    (ids_are_given, lambda: bad(merchant(), Column("line_no", Integer, SequenceDefault("s")), key("merchant_id"))),
    (ids_are_given, lambda: bad(merchant(), Column("at", DateTime(timezone=True), server_default=func.now()), key("merchant_id"))),
    (ids_are_given, lambda: bad(merchant(), Column("id", Uuid, server_default=func.gen_random_uuid()), key("merchant_id"))),
    (types_are_plain, lambda: bad(merchant(), Column("state", Enum("a", "b", name="state")), key("merchant_id"))),
    (types_are_plain, lambda: bad(merchant(), Column("share", Float), key("merchant_id"))),
    (types_are_plain, lambda: bad(merchant(), Column("at", DateTime), key("merchant_id"))),
    (types_are_plain, lambda: bad(merchant(), Column("price_minor", Integer), key("merchant_id"))),
)


@pytest.mark.parametrize(("rule", "table"), BAD)
def test_each_rule_can_fail(rule, table):
    assert len(list(rule(table()))) >= 1


@pytest.mark.parametrize(
    "table",
    [
        lambda: bad(merchant(), Column("line_no", Integer), key("merchant_id", "line_no")),
        lambda: bad(Column("code", Text), key("code"), table_class=TableClass.REFERENCE),
        lambda: bad(Column("place_code", Text), Column("bin_code", Text), key("place_code", "bin_code"), table_class=TableClass.NETWORK),
        lambda: pointing(other(TableClass.REFERENCE, "orders"), "code"),
        lambda: pointing(other(TableClass.TENANT, "orders"), "merchant_id", "code"),
        lambda: bad(merchant(), Column("a", Integer), Column("b", Integer, Computed("a + 1")), key("merchant_id")),
    ],
)
def test_good_tables_pass(table):
    assert [fault for rule in RULES for fault in rule(table())] == []


def test_every_rule_has_a_bad_table():
    assert {rule.__name__ for rule, _ in BAD} == {rule.__name__ for rule in RULES}
