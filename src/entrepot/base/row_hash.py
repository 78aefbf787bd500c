"""Hashing rows where the database sorts them: whole tables pass by without being held in memory."""

import hashlib

from entrepot.base.sql import Conn


async def hash_rows(conn: Conn, query: str) -> str:
    """Return the SHA-256 over the rows of a query in the order it gives; the query turns instants into numbers, so that no session setting shows."""
    digest = hashlib.sha256()
    async with conn.cursor() as cursor, cursor.copy(f"copy ({query}) to stdout".encode()) as rows:
        async for block in rows:
            digest.update(block)
    return digest.hexdigest()
