"""The law of evidence as far as the audit trail can prove it: whatever was commanded has its actor."""

import uuid
from collections.abc import Sequence

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, fetch


@batch
async def read_unaudited(conn: Conn, merchant_ids: Sequence[uuid.UUID], subject_ids: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Return the (merchant, subject) of these that no act in the trail names, in key order."""
    rows = await fetch(
        conn,
        """
        select t.merchant_id, t.subject_id
        from unnest(%(merchants)s::uuid[], %(subjects)s::uuid[]) as t(merchant_id, subject_id)
        where not exists (select from audit_entry a where a.merchant_id = t.merchant_id and a.subject_id = t.subject_id)
        order by 1, 2
        """,
        {"merchants": list(merchant_ids), "subjects": list(subject_ids)},
    )
    return [(row[0], row[1]) for row in rows]
