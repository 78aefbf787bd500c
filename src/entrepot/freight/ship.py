"""Parcels come to be, leave a place, or are taken back.

The packer closes a carton: a parcel is made with its lines, a tracking number and a label. The carrier's driver takes the parcels on a
manifest and signs. A label that is not used is voided before hand-over and its pieces may be packed again. A merchant who ships on its
own tells us carrier and number; its word is the hand-over.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, columns, execute, execute_counted, fetch, json_column
from entrepot.freight.cards import carrier_card
from entrepot.freight.identifiers import ATTEMPTS, Numbering, candidate_number, clean_number
from entrepot.freight.model import (
    HandOver,
    LabelSource,
    LabelVoided,
    ManifestClosedError,
    Outcome,
    PackedTooMuchError,
    ParcelDraft,
    ParcelEvent,
    ParcelKey,
    ParcelLine,
    ParcelMade,
    ParcelState,
    Recorded,
    ShipmentConfirmation,
    TrackingNumberMissingError,
    TrackingNumberTakenError,
    TrackingState,
    require_lines,
)
from entrepot.freight.track import record_parcel_events

LABEL_TEMPLATE: Final = "parcel-4x6.1"
"""Version of the label's layout; the values are stored, the paper is drawn from them whenever it is asked for."""
_FORMATS: Final = ("pdf", "zpl")
_PARCEL_FIELDS: Final = (
    "merchant_id",
    "parcel_id",
    "consignment_id",
    "order_id",
    "carrier_code",
    "service_code",
    "weight_g",
    "billable_weight_g",
    "cause_kind",
    "cause_id",
    "label_source",
    "label_cost_minor",
    "label_currency",
    "rate_version",
)


class _Numbered(Struct, frozen=True):
    """A draft with the number it will carry."""

    draft: ParcelDraft
    tracking_number: str | None


async def create_parcels(conn: Conn, drafts: Sequence[ParcelDraft], at: datetime) -> list[ParcelMade]:
    """Make parcels with lines, numbers, labels and planned legs, and answer each draft in order (@batch).

    A draft whose parcel stands already is answered `exists` with its number. More pieces than the consignment was planned for, a number
    that another parcel has, and a carrier without a range and without a number are refused and nothing of the batch is written.
    """
    for draft in drafts:
        require_lines(draft.parcel_id, draft.lines)
    made = await _standing_parcels(conn, [ParcelKey(draft.merchant_id, draft.parcel_id) for draft in drafts])
    fresh: dict[ParcelKey, ParcelDraft] = {}
    for draft in drafts:
        key = ParcelKey(draft.merchant_id, draft.parcel_id)
        if key not in made:
            fresh.setdefault(key, draft)
    numbers = await _insert_parcels(conn, list(fresh.values()), at) if fresh else {}
    answers: list[ParcelMade] = []
    for draft in drafts:
        key = ParcelKey(draft.merchant_id, draft.parcel_id)
        if key in made:
            same = draft.tracking_number is None or clean_number(draft.tracking_number) == made[key]
            outcome = Outcome.EXISTS if same else Outcome.EXISTS_WITH_DIFFERENT_VALUES
            answers.append(ParcelMade(draft.merchant_id, draft.parcel_id, made[key], outcome))
        else:
            answers.append(ParcelMade(draft.merchant_id, draft.parcel_id, numbers[key], Outcome.NEW))
            made[key] = numbers[key]
    return answers


async def merchant_confirms(conn: Conn, confirmations: Sequence[ShipmentConfirmation], at: datetime) -> tuple[list[ParcelMade], Recorded]:
    """Take a merchant's word that it sent goods with its own carrier, and return the parcels and what changed (@batch)."""
    drafts = [
        ParcelDraft(
            one.merchant_id,
            one.parcel_id,
            one.consignment_id,
            one.order_id,
            one.carrier_code,
            one.service_code,
            one.weight_g,
            one.cause_kind,
            one.cause_id,
            LabelSource.MERCHANT if one.rate_version is None else LabelSource.BOUGHT_HERE,
            one.lines,
            billable_weight_g=one.weight_g,
            label_cost_minor=one.label_cost_minor,
            label_currency=one.label_currency,
            rate_version=one.rate_version,
            tracking_number=one.tracking_number,
            legs=one.legs,
        )
        for one in confirmations
    ]
    made = await create_parcels(conn, drafts, at)
    events = [
        ParcelEvent(one.merchant_id, one.parcel_id, TrackingState.ACCEPTED, one.shipped_at, at, "merchant")
        for one, answer in zip(confirmations, made, strict=True)
        if answer.outcome is Outcome.NEW
    ]
    return made, await record_parcel_events(conn, events)


async def hand_over_parcels(conn: Conn, hand_overs: Sequence[HandOver]) -> tuple[list[Outcome], Recorded]:
    """Give parcels to their carriers on manifests and return the answers and what changed (@batch).

    `new` parcels left now, `exists` had left before, `not_allowed` have a void label, `unknown` are not there.
    """
    rows = await _states(conn, [ParcelKey(one.merchant_id, one.parcel_id) for one in hand_overs])
    outcomes: list[Outcome] = []
    leaving: list[HandOver] = []
    for one in hand_overs:
        key = ParcelKey(one.merchant_id, one.parcel_id)
        state = rows[key][0] if key in rows else None
        if state is ParcelState.LABELLED:
            leaving.append(one)
            rows[key] = (ParcelState.HANDED_OVER, rows[key][1])
        outcomes.append(_HAND_OVER_OUTCOMES.get(state, Outcome.EXISTS))
    if leaving:
        await _put_on_manifests(conn, leaving, {key: carrier_code for key, (_, carrier_code) in rows.items()})
    events = [ParcelEvent(one.merchant_id, one.parcel_id, TrackingState.ACCEPTED, one.at, one.at, "dock", one.place_code) for one in leaving]
    return outcomes, await record_parcel_events(conn, events)


_HAND_OVER_OUTCOMES: Final[Mapping[ParcelState | None, Outcome]] = {
    None: Outcome.UNKNOWN,
    ParcelState.LABELLED: Outcome.NEW,
    ParcelState.VOIDED: Outcome.NOT_ALLOWED,
}
_VOID_OUTCOMES: Final[Mapping[ParcelState | None, Outcome]] = {
    None: Outcome.UNKNOWN,
    ParcelState.LABELLED: Outcome.NEW,
    ParcelState.VOIDED: Outcome.EXISTS,
}


async def void_labels(conn: Conn, keys: Sequence[ParcelKey], at: datetime) -> tuple[list[LabelVoided], Recorded]:
    """Void labels that were not used yet, so that their pieces can be packed anew; `not_allowed` once the carrier has the parcel (@batch)."""
    rows = await _states(conn, keys)
    voided: dict[ParcelKey, None] = {}
    outcomes: list[Outcome] = []
    for key in keys:
        state = rows[key][0] if key in rows else None
        if key in voided:
            state = ParcelState.VOIDED
        elif state is ParcelState.LABELLED:
            voided[key] = None
        outcomes.append(_VOID_OUTCOMES.get(state, Outcome.NOT_ALLOWED))
    costs = await _void(conn, list(voided), at)
    events = [ParcelEvent(key.merchant_id, key.parcel_id, TrackingState.CANCELLED, at, at, "label") for key in voided]
    recorded = await record_parcel_events(conn, events)
    answers: list[LabelVoided] = []
    for key, outcome in zip(keys, outcomes, strict=True):
        cost_minor, currency = costs[key] if outcome is Outcome.NEW else (0, None)
        answers.append(LabelVoided(key.merchant_id, key.parcel_id, outcome, cost_minor, currency))
    return answers, recorded


async def close_manifests(conn: Conn, manifests: Sequence[tuple[str, uuid.UUID]], at: datetime) -> int:
    """Close (place code, manifest id) when the driver has signed and return how many were open (@batch)."""
    return await execute_counted(
        conn,
        """
        update manifest m set closed_at = %(at)s
        from unnest(%(places)s::text[], %(manifests)s::uuid[]) as t(place_code, manifest_id)
        where m.place_code = t.place_code and m.manifest_id = t.manifest_id and m.closed_at is null
        """,
        {"places": [place for place, _ in manifests], "manifests": [manifest_id for _, manifest_id in manifests], "at": at},
    )


async def _standing_parcels(conn: Conn, keys: Sequence[ParcelKey]) -> dict[ParcelKey, str | None]:
    """Return the tracking numbers of the parcels that stand already."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id, p.tracking_number
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join parcel p on p.merchant_id = t.merchant_id and p.parcel_id = t.parcel_id
        """,
        columns(keys, "merchant_id", "parcel_id"),
    )
    return {ParcelKey(row[0], row[1]): row[2] for row in rows}


async def _states(conn: Conn, keys: Sequence[ParcelKey]) -> dict[ParcelKey, tuple[ParcelState, str]]:
    """Lock parcels and return the state and carrier of each that is there."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id, p.state, p.carrier_code
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join parcel p on p.merchant_id = t.merchant_id and p.parcel_id = t.parcel_id
        join consignment c on c.merchant_id = p.merchant_id and c.consignment_id = p.consignment_id
        order by p.merchant_id, p.consignment_id, p.parcel_id for update of c, p
        """,
        columns(dict.fromkeys(keys), "merchant_id", "parcel_id"),
    )
    return {ParcelKey(row[0], row[1]): (ParcelState(row[2]), row[3]) for row in rows}


async def _insert_parcels(conn: Conn, drafts: Sequence[ParcelDraft], at: datetime) -> dict[ParcelKey, str | None]:
    """Write new parcels and everything that belongs to them, and return their numbers."""
    await _take_room(conn, drafts)
    numbered = await _allot_numbers(conn, drafts)
    await execute(
        conn,
        """
        insert into parcel (merchant_id, parcel_id, consignment_id, order_id, carrier_code, service_code, weight_g, billable_weight_g, cause_kind,
                            cause_id, label_source, label_cost_minor, label_currency, rate_version, tracking_number, state, state_at, labelled_at)
        select *, 'labelled', %(at)s::timestamptz, %(at)s::timestamptz
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[], %(consignment_id)s::uuid[], %(order_id)s::uuid[], %(carrier_code)s::text[],
                    %(service_code)s::text[], %(weight_g)s::bigint[], %(billable_weight_g)s::bigint[], %(cause_kind)s::text[], %(cause_id)s::uuid[],
                    %(label_source)s::text[], %(label_cost_minor)s::bigint[], %(label_currency)s::text[], %(rate_version)s::text[],
                    %(numbers)s::text[])
        """,
        columns(drafts, *_PARCEL_FIELDS) | {"numbers": [one.tracking_number for one in numbered], "at": at},
    )
    await _insert_lines(conn, drafts)
    await _insert_labels(conn, [one for one in numbered if one.draft.label_source is not LabelSource.MERCHANT], at)
    await _insert_legs(conn, drafts)
    return {ParcelKey(one.draft.merchant_id, one.draft.parcel_id): one.tracking_number for one in numbered}


async def _take_room(conn: Conn, drafts: Sequence[ParcelDraft]) -> None:
    """Count the pieces into their consignments, or refuse more than were planned."""
    pieces: Counter[tuple[uuid.UUID, uuid.UUID]] = Counter()
    for draft in drafts:
        pieces[draft.merchant_id, draft.consignment_id] += sum(line.quantity for line in draft.lines)
    keys = sorted(pieces)
    rows = await fetch(
        conn,
        """
        with ordered as (
            select c.merchant_id, c.consignment_id, t.pieces
            from unnest(%(merchants)s::uuid[], %(consignments)s::uuid[], %(pieces)s::bigint[]) as t(merchant_id, consignment_id, pieces)
            join consignment c on c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id
            order by c.merchant_id, c.consignment_id for update of c
        )
        update consignment c set packed_count = c.packed_count + o.pieces from ordered o
        where c.merchant_id = o.merchant_id and c.consignment_id = o.consignment_id and c.packed_count + o.pieces <= c.piece_count
        returning c.merchant_id, c.consignment_id
        """,
        {"merchants": [key[0] for key in keys], "consignments": [key[1] for key in keys], "pieces": [pieces[key] for key in keys]},
    )
    found = {(row[0], row[1]) for row in rows}
    for key in keys:
        if key not in found:
            raise PackedTooMuchError(
                "consignment_id", str(key[1]), "Pack no more pieces than the consignment still needs; %(pieces)s were given.", pieces=pieces[key]
            )


async def _allot_numbers(conn: Conn, drafts: Sequence[ParcelDraft]) -> list[_Numbered]:
    """Give each parcel its own number or the first free one of our range, and enter it in the index by which carriers find parcels."""
    candidates = [_candidates(draft) for draft in drafts]
    rows = await fetch(
        conn,
        """
        select i.carrier_code, i.tracking_number
        from unnest(%(carriers)s::text[], %(numbers)s::text[]) as t(carrier_code, tracking_number)
        join tracking_index i on i.carrier_code = t.carrier_code and i.tracking_number = t.tracking_number
        """,
        {
            "carriers": [draft.carrier_code for draft, numbers in zip(drafts, candidates, strict=True) for _ in numbers],
            "numbers": [number for numbers in candidates for number in numbers],
        },
    )
    taken = {(row[0], row[1]) for row in rows}
    numbered: list[_Numbered] = []
    for draft, numbers in zip(drafts, candidates, strict=True):
        free = next((number for number in numbers if (draft.carrier_code, number) not in taken), None)
        if numbers and free is None:
            raise TrackingNumberTakenError("tracking_number", numbers[0], "Read the number on the label again.")
        if free is not None:
            taken.add((draft.carrier_code, free))
        numbered.append(_Numbered(draft, free))
    tracked = [one for one in numbered if one.tracking_number is not None]
    entered = await execute_counted(
        conn,
        """
        insert into tracking_index (carrier_code, tracking_number, merchant_id, parcel_id)
        select * from unnest(%(carriers)s::text[], %(numbers)s::text[], %(merchant_id)s::uuid[], %(parcel_id)s::uuid[])
        on conflict do nothing
        """,
        columns([one.draft for one in tracked], "merchant_id", "parcel_id")
        | {"carriers": [one.draft.carrier_code for one in tracked], "numbers": [one.tracking_number for one in tracked]},
    )
    if entered != len(tracked):
        raise TrackingNumberTakenError("tracking_number", "one of the batch", "Another transaction took the number in this moment; try again.")
    return numbered


def _candidates(draft: ParcelDraft) -> list[str]:
    """Return the numbers a parcel may get: its own, none for an untracked one of the merchant, else those of our range."""
    if draft.tracking_number is not None:
        number = clean_number(draft.tracking_number)
        if not number:
            raise TrackingNumberMissingError("tracking_number", draft.tracking_number, "Give the number on the label, or none at all.")
        return [number]
    if draft.label_source is LabelSource.MERCHANT:
        return []
    numbering = carrier_card(draft.carrier_code).numbering
    if numbering.scheme is Numbering.NONE:
        raise TrackingNumberMissingError(
            "tracking_number", None, "Buy the label from %(carrier)s first and give its number.", carrier=draft.carrier_code
        )
    attempts = ATTEMPTS if numbering.scheme is Numbering.S10 else 2
    return [candidate_number(numbering.scheme, numbering.prefix, numbering.suffix, draft.parcel_id, attempt) for attempt in range(attempts)]


async def _insert_lines(conn: Conn, drafts: Sequence[ParcelDraft]) -> None:
    """Write what is in the parcels."""
    rows: list[tuple[ParcelDraft, ParcelLine]] = [(draft, line) for draft in drafts for line in draft.lines]
    await execute(
        conn,
        """
        insert into parcel_line (merchant_id, parcel_id, order_id, line_no, part_no, quantity)
        select * from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[], %(order_id)s::uuid[], %(line_no)s::int[], %(part_no)s::int[],
                             %(quantity)s::bigint[])
        """,
        columns([draft for draft, _ in rows], "merchant_id", "parcel_id", "order_id")
        | columns([line for _, line in rows], "line_no", "part_no", "quantity"),
    )


async def _insert_labels(conn: Conn, numbered: Sequence[_Numbered], at: datetime) -> None:
    """Keep the values of labels; names and streets stay with the person and are added when the paper is drawn."""
    if not numbered:
        return
    await execute(
        conn,
        """
        insert into label (merchant_id, parcel_id, template_version, payload, formats, made_at)
        select t.merchant_id, t.parcel_id, %(template)s,
               t.payload || jsonb_build_object('place_code', c.place_code, 'to_country_code', c.to_country_code,
                                               'to_postcode_prefix', c.to_postcode_prefix),
               %(formats)s::jsonb, %(at)s::timestamptz
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[], %(consignment_id)s::uuid[], %(payloads)s::jsonb[])
             as t(merchant_id, parcel_id, consignment_id, payload)
        join consignment c on c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id
        """,
        columns([one.draft for one in numbered], "merchant_id", "parcel_id", "consignment_id")
        | {
            "template": LABEL_TEMPLATE,
            "formats": json_column([_FORMATS])[0].decode(),
            "at": at,
            "payloads": json_column(
                {
                    "carrier_code": one.draft.carrier_code,
                    "service_code": one.draft.service_code,
                    "tracking_number": one.tracking_number,
                    "weight_g": one.draft.weight_g,
                    "reference": one.draft.order_id.hex[-12:],
                }
                for one in numbered
            ),
        },
    )


async def _insert_legs(conn: Conn, drafts: Sequence[ParcelDraft]) -> None:
    """Write the planned legs of parcels that have them."""
    rows = [(draft, leg_no, leg) for draft in drafts for leg_no, leg in enumerate(draft.legs, start=1)]
    if not rows:
        return
    await execute(
        conn,
        """
        insert into parcel_leg (merchant_id, parcel_id, leg_no, kind, from_code, to_code, carrier_code, carrier_entity_id, planned_from_at,
                                planned_to_at)
        select * from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[], %(leg_nos)s::int[], %(kind)s::text[], %(from_code)s::text[],
                             %(to_code)s::text[], %(carrier_code)s::text[], %(carrier_entity_id)s::uuid[], %(planned_from_at)s::timestamptz[],
                             %(planned_to_at)s::timestamptz[])
        """,
        columns([draft for draft, _, _ in rows], "merchant_id", "parcel_id")
        | columns(
            [leg for _, _, leg in rows], "kind", "from_code", "to_code", "carrier_code", "carrier_entity_id", "planned_from_at", "planned_to_at"
        )
        | {"leg_nos": [leg_no for _, leg_no, _ in rows]},
    )


async def _put_on_manifests(conn: Conn, leaving: Sequence[HandOver], carriers: Mapping[ParcelKey, str]) -> None:
    """Open the manifests that are new and enter the parcels; a closed one takes no more."""
    first: dict[tuple[str, uuid.UUID], HandOver] = {}
    for one in leaving:
        first.setdefault((one.place_code, one.manifest_id), one)
    params = columns(first.values(), "place_code", "manifest_id", "at") | {
        "carriers": [carriers[ParcelKey(one.merchant_id, one.parcel_id)] for one in first.values()]
    }
    await execute(
        conn,
        """
        insert into manifest (place_code, manifest_id, carrier_code, opened_at)
        select * from unnest(%(place_code)s::text[], %(manifest_id)s::uuid[], %(carriers)s::text[], %(at)s::timestamptz[])
        on conflict do nothing
        """,
        params,
    )
    closed = await fetch(
        conn,
        """
        select m.manifest_id from unnest(%(place_code)s::text[], %(manifest_id)s::uuid[]) as t(place_code, manifest_id)
        join manifest m on m.place_code = t.place_code and m.manifest_id = t.manifest_id where m.closed_at is not null
        order by m.manifest_id
        """,
        params,
    )
    if closed:
        raise ManifestClosedError("manifest_id", str(closed[0][0]), "Put the parcel on the next manifest.")
    await execute(
        conn,
        """
        insert into manifest_parcel (place_code, manifest_id, merchant_id, parcel_id)
        select * from unnest(%(place_code)s::text[], %(manifest_id)s::uuid[], %(merchant_id)s::uuid[], %(parcel_id)s::uuid[])
        on conflict do nothing
        """,
        columns(leaving, "place_code", "manifest_id", "merchant_id", "parcel_id"),
    )


async def _void(conn: Conn, keys: Sequence[ParcelKey], at: datetime) -> dict[ParcelKey, tuple[int, str | None]]:
    """Void the labels, give their pieces back to the consignments, and return what the labels had cost."""
    if not keys:
        return {}
    params = columns(keys, "merchant_id", "parcel_id") | {"at": at}
    await execute(
        conn,
        """
        update label l set voided_at = %(at)s from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        where l.merchant_id = t.merchant_id and l.parcel_id = t.parcel_id
        """,
        params,
    )
    await execute(
        conn,
        """
        update consignment c set packed_count = c.packed_count - s.pieces
        from (
            select p.merchant_id, p.consignment_id, sum(l.quantity) as pieces
            from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
            join parcel p on p.merchant_id = t.merchant_id and p.parcel_id = t.parcel_id
            join parcel_line l on l.merchant_id = p.merchant_id and l.parcel_id = p.parcel_id
            group by p.merchant_id, p.consignment_id
        ) as s
        where c.merchant_id = s.merchant_id and c.consignment_id = s.consignment_id
        """,
        params,
    )
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id, p.label_cost_minor, p.label_currency
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join parcel p on p.merchant_id = t.merchant_id and p.parcel_id = t.parcel_id
        """,
        params,
    )
    return {ParcelKey(row[0], row[1]): (int(row[2]), row[3]) for row in rows}
