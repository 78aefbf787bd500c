"""What places keep: bins, lots, scans, cartons and reasons."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from entrepot.base.sql import Conn, columns, execute, execute_counted, fetch
from entrepot.warehouse.binning import Bin, LotKey, SpotKey
from entrepot.warehouse.cartons import Carton
from entrepot.warehouse.model import BinZone, bin_spot
from entrepot.warehouse.scanning import Fingerprint, Scan, ScanKey


async def insert_bins(conn: Conn, bins: Sequence[Bin]) -> int:
    """Add bins that the place does not have yet; returns how many are new."""
    return await execute_counted(
        conn,
        """insert into bin (place_code, bin_code, zone_code, capacity_mm3, pick_sequence)
           select * from unnest(%(place_code)b::text[], %(bin_code)b::text[], %(zone_code)b::text[], %(capacity_mm3)b::bigint[],
                                %(pick_sequence)b::integer[])
           on conflict do nothing""",
        columns(bins, "place_code", "bin_code", "zone_code", "capacity_mm3", "pick_sequence"),
    )


async def read_bins(conn: Conn, place_codes: Iterable[str]) -> list[Bin]:
    """Return the bins of places in the order of the pickers' walk."""
    rows = await fetch(
        conn,
        """select place_code, bin_code, zone_code, capacity_mm3, pick_sequence from bin
           where place_code = any(%(place_codes)b::text[]) order by place_code, pick_sequence, bin_code""",
        {"place_codes": sorted(set(place_codes))},
    )
    return [Bin(place, code, BinZone(zone), capacity, sequence) for place, code, zone, capacity, sequence in rows]


async def read_pick_sequences(conn: Conn, spots: Collection[SpotKey]) -> dict[SpotKey, int]:
    """Return where the pickers' walk passes the bins among these spots."""
    bins = [(place, spot.removeprefix("bin:")) for place, spot in sorted(set(spots)) if spot.startswith("bin:")]
    if not bins:
        return {}
    rows = await fetch(
        conn,
        """select b.place_code, b.bin_code, b.pick_sequence
           from unnest(%(place_codes)b::text[], %(bin_codes)b::text[]) as t(place_code, bin_code) join bin b using (place_code, bin_code)""",
        {"place_codes": [place for place, _ in bins], "bin_codes": [code for _, code in bins]},
    )
    return {(place, bin_spot(code)): sequence for place, code, sequence in rows}


async def insert_lots(conn: Conn, lots: Mapping[LotKey, date | None]) -> None:
    """Keep when lots expire; a lot that is known keeps its date."""
    if not lots:
        return
    ordered = sorted(lots)
    await execute(
        conn,
        """insert into lot (merchant_id, stock_item_id, lot_code, expires_on)
           select * from unnest(%(merchant_ids)b::uuid[], %(stock_item_ids)b::uuid[], %(lot_codes)b::text[], %(expires_on)b::date[])
           on conflict do nothing""",
        {
            "merchant_ids": [key[0] for key in ordered],
            "stock_item_ids": [key[1] for key in ordered],
            "lot_codes": [key[2] for key in ordered],
            "expires_on": [lots[key] for key in ordered],
        },
    )


async def read_expiries(conn: Conn, lots: Collection[LotKey]) -> dict[LotKey, date]:
    """Return the expiry of those lots that have one."""
    if not lots:
        return {}
    ordered = sorted(set(lots))
    rows = await fetch(
        conn,
        """select l.merchant_id, l.stock_item_id, l.lot_code, l.expires_on
           from unnest(%(merchant_ids)b::uuid[], %(stock_item_ids)b::uuid[], %(lot_codes)b::text[]) as t(merchant_id, stock_item_id, lot_code)
           join lot l using (merchant_id, stock_item_id, lot_code) where l.expires_on is not null""",
        {
            "merchant_ids": [key[0] for key in ordered],
            "stock_item_ids": [key[1] for key in ordered],
            "lot_codes": [key[2] for key in ordered],
        },
    )
    return {(merchant_id, stock_item_id, lot_code): expires_on for merchant_id, stock_item_id, lot_code, expires_on in rows}


async def read_scans(conn: Conn, keys: Sequence[ScanKey]) -> dict[ScanKey, Fingerprint]:
    """Return what is known under these device sequences."""
    rows = await fetch(
        conn,
        """select s.place_code, s.device_code, s.sequence_no, s.kind, s.merchant_id, s.subject_id, s.content
           from (select distinct * from unnest(%(place_code)b::text[], %(device_code)b::text[], %(sequence_no)b::bigint[])
                 as t(place_code, device_code, sequence_no)) as t
           join scan s using (place_code, device_code, sequence_no)""",
        columns(keys, "place_code", "device_code", "sequence_no"),
    )
    return {
        ScanKey(place, device, sequence): (kind, merchant, subject, content) for place, device, sequence, kind, merchant, subject, content in rows
    }


async def insert_scans(conn: Conn, scans: Sequence[Scan]) -> None:
    """Store scans that are new; a twin that another transaction stored meanwhile fails the batch, which is then tried again."""
    if not scans:
        return
    await execute(
        conn,
        """insert into scan (place_code, device_code, sequence_no, at, kind, merchant_id, subject_id, content)
           select * from unnest(%(place_code)b::text[], %(device_code)b::text[], %(sequence_no)b::bigint[], %(at)b::timestamptz[], %(kind)b::text[],
                                %(merchant_id)b::uuid[], %(subject_id)b::uuid[], %(content)b::text[])""",
        columns([scan.key for scan in scans], "place_code", "device_code", "sequence_no")
        | columns(scans, "at", "kind", "merchant_id", "subject_id", "content"),
    )


async def read_cartons(conn: Conn, on: date) -> list[Carton]:
    """Return the cartons in use on a date, smallest first."""
    rows = await fetch(
        conn,
        """select carton_code, length_mm, width_mm, height_mm, tare_g, max_weight_g from carton
           where is_active and effective_from <= %(on)s and (effective_to is null or %(on)s < effective_to)
           order by length_mm::bigint * width_mm * height_mm, carton_code""",
        {"on": on},
    )
    return [Carton(code, length, width, height, tare, weight) for code, length, width, height, tare, weight in rows]


async def read_reason_signs(conn: Conn, on: date) -> dict[str, str]:
    """Return the adjustment reasons in force on a date with the signs they allow: +, - or both."""
    rows = await fetch(
        conn,
        """select reason_code, sign from adjustment_reason
           where is_active and effective_from <= %(on)s and (effective_to is null or %(on)s < effective_to)""",
        {"on": on},
    )
    return {str(code): str(sign) for code, sign in rows}


async def insert_seed_rows(conn: Conn, cartons: Sequence[Mapping[str, object]], reasons: Sequence[Mapping[str, object]]) -> int:
    """Add seed rows that the operator has not changed or removed from force; returns how many are new."""
    added = 0
    for table, names, rows in (("carton", _CARTON_COLUMNS, cartons), ("adjustment_reason", _REASON_COLUMNS, reasons)):
        arrays = ", ".join(f"%({name})b::{kind}[]" for name, kind in names.items())
        added += await execute_counted(
            conn,
            f"insert into {table} ({', '.join(names)}) select * from unnest({arrays}) on conflict do nothing",
            {name: [row[name] for row in rows] for name in names},
        )
    return added


_DATED_COLUMNS = {"effective_from": "date", "effective_to": "date", "source": "text", "confidence": "text", "is_active": "boolean"}
_CARTON_COLUMNS = {
    "carton_code": "text",
    "length_mm": "integer",
    "width_mm": "integer",
    "height_mm": "integer",
    "tare_g": "integer",
    "max_weight_g": "integer",
} | _DATED_COLUMNS
_REASON_COLUMNS = {"reason_code": "text", "sign": "text", "group_code": "text", "meaning": "text"} | _DATED_COLUMNS
