"""Brings a database's schema to the version this program was built for."""

import shutil
import sys
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

import entrepot
from entrepot.bootstrap.tables import all_tables

MIGRATIONS: Final = Path(entrepot.__path__[0]) / "migrations"
_LOCK_KEY: Final = 0x656E7472  # any number that no other program on the same server uses


def upgrade(url: str) -> None:
    """Apply every revision that the database lacks; several programs may try at once, one does it."""
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()


def current_revision(url: str) -> str | None:
    """Return the revision of a database, or None for one that was never migrated."""
    engine = sync_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def newest_revision() -> str | None:
    """Return the revision this program was built for, or None while there is none."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def write_revision(url: str, message: str) -> Path:
    """Write a revision file with the difference between all revisions so far and the declared tables, using an empty database."""
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            config = _config(connection)
            _tidy_new_files(config)
            command.upgrade(config, "head")
            written = command.revision(config, message, autogenerate=True)
    finally:
        engine.dispose()
    scripts = written if isinstance(written, list) else [written]
    return Path(next(script.path for script in scripts if script is not None))


def _tidy_new_files(config: Config) -> None:
    """Let the linter and formatter, which developers have beside Python, put a new file into the project's form."""
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        return
    config.set_section_option("post_write_hooks", "hooks", "check, format")
    for hook, options in (("check", "check --fix --quiet"), ("format", "format --quiet")):
        config.set_section_option("post_write_hooks", f"{hook}.type", "exec")
        config.set_section_option("post_write_hooks", f"{hook}.executable", ruff)
        config.set_section_option("post_write_hooks", f"{hook}.options", f"{options} REVISION_SCRIPT_FILENAME")


def sync_engine(url: str) -> Engine:
    """Return an engine that keeps no connection, for schema work."""
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)


def _config(connection: Connection) -> Config:
    """Configure Alembic in code: `migrations/` holds the scripts, and its `env.py` takes the connection and the tables from here."""
    config = Config(attributes={"connection": connection, "tables": all_tables()})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config
