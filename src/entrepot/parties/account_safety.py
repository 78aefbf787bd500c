"""What people change in their own account: the language, the password, and the second factor."""

import uuid

from entrepot.base.sql import Conn, execute


async def choose_account_language(conn: Conn, staff_id: uuid.UUID, code: str) -> None:
    """Keep the language in which an account's pages and mails speak."""
    await execute(conn, "update staff set language_code = %(code)s where staff_id = %(id)s", {"code": code, "id": staff_id})
