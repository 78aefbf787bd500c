"""Dated duty rates as rows that people compare."""

from datetime import date

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class DutyRow(Struct, frozen=True):
    """A dated duty rate: for which goods into which territory, how much, how long, and where that is from."""

    key: str
    told: str
    version: str
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str
    is_active: bool


async def read_duty_rows(conn: Conn) -> list[DutyRow]:
    """Return every duty rate, past and future ones too, by territory, goods and start."""
    rows = await fetch(
        conn,
        """
        select concat_ws(' / ', territory_code, hs_prefix, nullif(origin_code, ''), nullif(layer_code, '')), trim_scale(rate * 100) || ' %%', rate_code,
               effective_from, effective_to, source, confidence, is_active
        from duty_rate order by territory_code, hs_prefix, effective_from, rate_code
        """,
        {},
    )
    return [DutyRow(*row) for row in rows]
