"""What Alembic runs: the connection and the wanted tables come from `bootstrap/migrate.py`."""

from collections.abc import Iterable
from typing import cast

from alembic import context
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateTableOp, MigrationScript
from sqlalchemy import Connection, MetaData


def leave_out_table_classes(_context: MigrationContext, _revision: str | Iterable[str | None], scripts: list[MigrationScript]) -> None:
    """Keep a table's class and owner out of new revisions: they are read from the declared tables and cannot be written as source."""
    for script in scripts:
        for operation in script.upgrade_ops.ops if script.upgrade_ops else ():
            if isinstance(operation, CreateTableOp):
                operation.info = {}


context.configure(
    connection=cast("Connection", context.config.attributes["connection"]),
    target_metadata=cast("MetaData", context.config.attributes["tables"]),
    compare_type=True,
    compare_server_default=True,
    process_revision_directives=leave_out_table_classes,
)
context.run_migrations()
