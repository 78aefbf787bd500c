"""Rows that are written with a row of another table are never alone: proven over all of them by law 6, instead of by a trigger for each."""

from collections.abc import Iterable

from sqlalchemy import Table

from entrepot.base.sql import Conn, fetch
from entrepot.base.tables import METADATA


async def find_lone_rows(conn: Conn, tables: Iterable[Table]) -> tuple[int, list[str]]:
    """Return how many rows of these tables there are, and up to 100 of each table that lack the row they are part of."""
    listed = list(tables)
    counted = await fetch(conn, f"select {' + '.join(f'(select count(*) from {table.name})' for table in listed)}")
    lone = await fetch(conn, " union all ".join(f"({_lone(table)})" for table in listed))
    return int(counted[0][0]), sorted(str(row[0]) for row in lone)


def _lone(table: Table) -> str:
    """Return the query that names the rows of a table whose whole is missing."""
    whole = METADATA.tables[table.info["part_of"]]
    key = ", ".join(f"c.{column.name}" for column in table.primary_key.columns)
    joined = " and ".join(f"w.{column.name} = c.{column.name}" for column in whole.primary_key.columns)
    told = f"'{table.name} ' || concat_ws('/', {key}) || ': its {whole.name} is missing'"
    return f"select {told} from {table.name} c where not exists (select from {whole.name} w where {joined}) limit 100"
