"""Taking back what customs released, because the goods will not leave as declared: a part was cancelled, or all of it."""

from collections.abc import Sequence
from datetime import datetime

from entrepot.base.sql import Conn, columns, fetch
from entrepot.customs.declare import CancelAsk, Written


async def withdraw_declarations(conn: Conn, asks: Sequence[CancelAsk], at: datetime) -> list[Written]:
    """Withdraw released declarations; withdrawn ones answer `exists`, those in any other state `not_allowed`."""
    rows = await fetch(
        conn,
        """with ask as (
               select distinct on (merchant_id, declaration_id) *
               from unnest(%(merchant_id)s::uuid[], %(declaration_id)s::uuid[], %(cause_code)s::text[]) as t(merchant_id, declaration_id, cause_code)
               order by merchant_id, declaration_id
           ), ended as (
               update declaration d set state = 'withdrawn', state_at = %(at)s, cause_code = ask.cause_code, remedy = ''
               from ask where d.merchant_id = ask.merchant_id and d.declaration_id = ask.declaration_id and d.state = 'released'
               returning d.merchant_id, d.declaration_id
           )
           select d.merchant_id, d.declaration_id, e.declaration_id is not null, d.state
           from ask join declaration d on d.merchant_id = ask.merchant_id and d.declaration_id = ask.declaration_id
           left join ended e on e.merchant_id = d.merchant_id and e.declaration_id = d.declaration_id""",
        {**columns(asks, "merchant_id", "declaration_id", "cause_code"), "at": at},
    )
    found = {(row[0], row[1]): Written.NEW if row[2] else Written.EXISTS if row[3] == "withdrawn" else Written.NOT_ALLOWED for row in rows}
    return [found.get((ask.merchant_id, ask.declaration_id), Written.NOT_ALLOWED) for ask in asks]
