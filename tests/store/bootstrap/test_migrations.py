"""The migrated schema is the declared one: a table or column without a revision fails here."""

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from entrepot.bootstrap.migrate import current_revision, newest_revision, sync_engine, upgrade
from entrepot.bootstrap.tables import all_tables


def test_migrated_schema_is_the_declared_one(empty_database: str) -> None:
    upgrade(empty_database)
    upgrade(empty_database)
    assert newest_revision() is not None
    assert current_revision(empty_database) == newest_revision()
    engine = sync_engine(empty_database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, all_tables()) == []
    engine.dispose()


def test_checks_are_the_declared_ones(empty_database: str, database: str) -> None:
    """Alembic does not compare CHECK constraints: the migrated ones must be those of the declared tables."""
    upgrade(empty_database)
    assert checks(empty_database) == checks(database)


def checks(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as conn:
        found = conn.execute("select conname, pg_get_constraintdef(oid) from pg_constraint where contype = 'c' order by 1, 2")
        return [(row[0], row[1]) for row in found]
