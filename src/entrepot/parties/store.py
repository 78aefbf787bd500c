"""Set-based SQL over merchants, their registrations and checks, role holders and admissions."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime

from psycopg.types.json import Jsonb

from entrepot.base.sql import Conn, Row, columns, execute, execute_counted, fetch
from entrepot.parties.model import BankAccount, KycCase, Merchant, MerchantStatus, ModelOpening, NewMerchant, Registration, RoleHolder

_MERCHANT_COLUMNS = "merchant_id, code, name, kind, country_code, payout_currency, time_zone, status, created_at"


async def insert_merchants(conn: Conn, merchants: Sequence[NewMerchant], at: datetime) -> frozenset[uuid.UUID]:
    """Insert merchants that are not there yet and return the ids of the new ones."""
    rows = await fetch(
        conn,
        f"""
        insert into merchant ({_MERCHANT_COLUMNS})
        select t.*, %(status)s, %(at)s from unnest(%(merchant_id)s::uuid[], %(code)s::text[], %(name)s::text[], %(kind)s::text[], %(country_code)s::text[],
            %(payout_currency)s::text[], %(time_zone)s::text[]) as t
        on conflict do nothing returning merchant_id
        """,
        columns(merchants, "merchant_id", "code", "name", "country_code", "payout_currency", "time_zone")
        | {"kind": [str(merchant.kind) for merchant in merchants], "status": str(MerchantStatus.ACTIVE), "at": at},
    )
    return frozenset(row[0] for row in rows)


async def read_merchants(conn: Conn, merchant_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Merchant]:
    """Return the merchants among these ids that exist."""
    rows = await fetch(conn, f"select {_MERCHANT_COLUMNS} from merchant where merchant_id = any(%(ids)s::uuid[])", {"ids": list(merchant_ids)})
    return {row[0]: Merchant(*row) for row in rows}


async def order_merchants(conn: Conn, text: str) -> list[tuple[uuid.UUID, bool]]:
    """Return the ids of all merchants and legal entities in order of their names, each with whether its name holds a text."""
    rows = await fetch(
        conn,
        "select merchant_id, %(text)s <> '' and position(lower(%(text)s) in lower(name)) > 0 from merchant order by lower(name), merchant_id",
        {"text": text},
    )
    return [(row[0], bool(row[1])) for row in rows]


async def list_merchants(conn: Conn, kind: str) -> list[Merchant]:
    """Return all merchants of a kind, by code."""
    rows = await fetch(conn, f"select {_MERCHANT_COLUMNS} from merchant where kind = %(kind)s order by code", {"kind": kind})
    return [Merchant(*row) for row in rows]


async def update_merchant_status(conn: Conn, merchant_id: uuid.UUID, status: MerchantStatus) -> int:
    """Set a merchant's status unless it is closed, and return 1 if it was set."""
    return await execute_counted(
        conn,
        "update merchant set status = %(status)s where merchant_id = %(merchant)s and status <> 'closed'",
        {"merchant": merchant_id, "status": str(status)},
    )


async def insert_registrations(conn: Conn, registrations: Sequence[Registration]) -> frozenset[object]:
    """Insert registrations and return the keys of the new ones."""
    rows = await fetch(
        conn,
        """
        insert into registration (merchant_id, country_code, kind, number, effective_from, effective_to)
        select * from unnest(%(merchant_id)s::uuid[], %(country_code)s::text[], %(kind)s::text[], %(number)s::text[], %(effective_from)s::date[],
            %(effective_to)s::date[])
        on conflict do nothing returning merchant_id, country_code, kind, effective_from
        """,
        columns(registrations, "merchant_id", "country_code", "kind", "number", "effective_from", "effective_to"),
    )
    return frozenset(tuple(row) for row in rows)


async def read_registrations(conn: Conn, merchant_ids: Sequence[uuid.UUID]) -> list[Registration]:
    """Return all registrations of these merchants, past and future ones too, in key order."""
    rows = await fetch(
        conn,
        """
        select merchant_id, country_code, kind, number, effective_from, effective_to from registration
        where merchant_id = any(%(ids)s::uuid[]) order by merchant_id, country_code, kind, effective_from
        """,
        {"ids": list(merchant_ids)},
    )
    return [Registration(*row) for row in rows]


async def insert_bank_accounts(conn: Conn, accounts: Sequence[BankAccount]) -> frozenset[object]:
    """Insert bank accounts and return the keys of the new ones."""
    rows = await fetch(
        conn,
        """
        insert into bank_account (merchant_id, currency, provider_token, last_four, country_code, effective_from, effective_to)
        select * from unnest(%(merchant_id)s::uuid[], %(currency)s::text[], %(provider_token)s::text[], %(last_four)s::text[], %(country_code)s::text[],
            %(effective_from)s::date[], %(effective_to)s::date[])
        on conflict do nothing returning merchant_id, currency, effective_from
        """,
        columns(accounts, "merchant_id", "currency", "provider_token", "last_four", "country_code", "effective_from", "effective_to"),
    )
    return frozenset(tuple(row) for row in rows)


async def read_bank_accounts(conn: Conn, merchant_ids: Sequence[uuid.UUID], on: date) -> dict[tuple[uuid.UUID, str], BankAccount]:
    """Return the account in force on a date per merchant and currency; of overlapping ones the later."""
    rows = await fetch(
        conn,
        """
        select distinct on (merchant_id, currency) merchant_id, currency, provider_token, last_four, country_code, effective_from, effective_to
        from bank_account
        where merchant_id = any(%(ids)s::uuid[]) and effective_from <= %(on)s and (effective_to is null or effective_to > %(on)s)
        order by merchant_id, currency, effective_from desc
        """,
        {"ids": list(merchant_ids), "on": on},
    )
    return {(row[0], row[1]): BankAccount(*row) for row in rows}


async def lock_kyc_cases(conn: Conn, merchant_ids: Sequence[uuid.UUID], case_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, KycCase]:
    """Lock the cases of these keys in key order and return them by case."""
    rows = await fetch(
        conn,
        """
        select c.merchant_id, c.case_id, c.gate, c.state, c.documents, c.decided_by, c.reason, c.changed_at, c.step_count
        from kyc_case c join (select distinct * from unnest(%(merchants)s::uuid[], %(cases)s::uuid[]) as t(merchant_id, case_id)) k
            on k.merchant_id = c.merchant_id and k.case_id = c.case_id
        order by c.merchant_id, c.case_id for update of c
        """,
        {"merchants": list(merchant_ids), "cases": list(case_ids)},
    )
    return {case.case_id: case for case in map(_kyc_case, rows)}


async def read_kyc_cases(conn: Conn, merchant_ids: Sequence[uuid.UUID]) -> list[KycCase]:
    """Return the cases of these merchants, by merchant and gate."""
    rows = await fetch(
        conn,
        """
        select merchant_id, case_id, gate, state, documents, decided_by, reason, changed_at, step_count from kyc_case
        where merchant_id = any(%(ids)s::uuid[]) order by merchant_id, gate
        """,
        {"ids": list(merchant_ids)},
    )
    return [_kyc_case(row) for row in rows]


async def save_kyc_cases(conn: Conn, cases: Sequence[KycCase]) -> None:
    """Write the new state of cases that are new or locked."""
    await execute(
        conn,
        """
        insert into kyc_case (merchant_id, case_id, gate, state, documents, decided_by, reason, changed_at, step_count)
        select * from unnest(%(merchant_id)s::uuid[], %(case_id)s::uuid[], %(gate)s::text[], %(state)s::text[], %(documents)s::jsonb[], %(decided_by)s::text[],
            %(reason)s::text[], %(changed_at)s::timestamptz[], %(step_count)s::integer[])
        on conflict (merchant_id, case_id) do update set state = excluded.state, documents = excluded.documents, decided_by = excluded.decided_by,
            reason = excluded.reason, changed_at = excluded.changed_at, step_count = excluded.step_count
        """,
        columns(cases, "merchant_id", "case_id", "gate", "state", "decided_by", "reason", "changed_at", "step_count")
        | {"documents": [Jsonb(list(case.documents)) for case in cases]},
    )


async def insert_kyc_steps(conn: Conn, steps: Sequence[KycCase], actor_code: str) -> None:
    """Append what happened to cases: one row per step, never changed."""
    await execute(
        conn,
        """
        insert into kyc_step (merchant_id, case_id, step_no, state, documents, actor_code, reason, at)
        select t.merchant_id, t.case_id, t.step_no, t.state, t.documents, %(actor)s, t.reason, t.at
        from unnest(%(merchant_id)s::uuid[], %(case_id)s::uuid[], %(step_count)s::integer[], %(state)s::text[], %(documents)s::jsonb[], %(reason)s::text[],
            %(changed_at)s::timestamptz[]) as t(merchant_id, case_id, step_no, state, documents, reason, at)
        """,
        columns(steps, "merchant_id", "case_id", "step_count", "state", "reason", "changed_at")
        | {"documents": [Jsonb(list(step.documents)) for step in steps], "actor": actor_code},
    )


async def read_open_gates(conn: Conn, merchant_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, frozenset[str]]:
    """Return the approved gates per merchant; a merchant without any is left out."""
    rows = await fetch(
        conn,
        "select merchant_id, array_agg(gate) from kyc_case where merchant_id = any(%(ids)s::uuid[]) and state = 'approved' group by merchant_id",
        {"ids": list(merchant_ids)},
    )
    return {row[0]: frozenset(row[1]) for row in rows}


async def insert_role_holders(conn: Conn, holders: Sequence[RoleHolder]) -> frozenset[object]:
    """Insert appointments and return the keys of the new ones."""
    rows = await fetch(
        conn,
        """
        insert into role_holder (marketplace_code, role_code, entity_merchant_id, effective_from, effective_to, source, confidence)
        select * from unnest(%(marketplace_code)s::text[], %(role_code)s::text[], %(entity_merchant_id)s::uuid[], %(effective_from)s::date[],
            %(effective_to)s::date[], %(source)s::text[], %(confidence)s::text[])
        on conflict do nothing returning marketplace_code, role_code, effective_from
        """,
        columns(holders, "marketplace_code", "role_code", "entity_merchant_id", "effective_from", "effective_to", "source", "confidence"),
    )
    return frozenset(tuple(row) for row in rows)


async def read_role_holders(conn: Conn, marketplace_codes: Sequence[str]) -> list[RoleHolder]:
    """Return all appointments in these marketplaces, past and future ones too, in key order."""
    rows = await fetch(
        conn,
        """
        select marketplace_code, role_code, entity_merchant_id, effective_from, effective_to, source, confidence from role_holder
        where marketplace_code = any(%(codes)s::text[]) order by marketplace_code, role_code, effective_from
        """,
        {"codes": list(marketplace_codes)},
    )
    return [RoleHolder(*row) for row in rows]


async def insert_admissions(conn: Conn, openings: Sequence[ModelOpening], opened_by: str, at: datetime) -> frozenset[object]:
    """Open models for merchants, again where they were closed, and return the keys of those that changed."""
    rows = await fetch(
        conn,
        """
        insert into model_admission (merchant_id, marketplace_code, model_code, opened_at, opened_by)
        select t.*, %(at)s, %(by)s from unnest(%(merchant_id)s::uuid[], %(marketplace_code)s::text[], %(model_code)s::text[]) as t
        on conflict (merchant_id, marketplace_code, model_code) do update
            set opened_at = excluded.opened_at, opened_by = excluded.opened_by, closed_at = null where model_admission.closed_at is not null
        returning merchant_id, marketplace_code, model_code
        """,
        columns(openings, "merchant_id", "marketplace_code", "model_code") | {"at": at, "by": opened_by},
    )
    return frozenset(tuple(row) for row in rows)


async def end_admissions(conn: Conn, openings: Sequence[ModelOpening], at: datetime) -> int:
    """Close open models and return how many were open."""
    return await execute_counted(
        conn,
        """
        update model_admission a set closed_at = %(at)s
        from unnest(%(merchant_id)s::uuid[], %(marketplace_code)s::text[], %(model_code)s::text[]) as t(merchant_id, marketplace_code, model_code)
        where a.merchant_id = t.merchant_id and a.marketplace_code = t.marketplace_code and a.model_code = t.model_code and a.closed_at is null
        """,
        columns(openings, "merchant_id", "marketplace_code", "model_code") | {"at": at},
    )


async def read_opened_models(conn: Conn, merchant_ids: Sequence[uuid.UUID]) -> frozenset[tuple[uuid.UUID, str, str]]:
    """Return the open (merchant, marketplace, model) triples of these merchants."""
    rows = await fetch(
        conn,
        "select merchant_id, marketplace_code, model_code from model_admission where merchant_id = any(%(ids)s::uuid[]) and closed_at is null",
        {"ids": list(merchant_ids)},
    )
    return frozenset((row[0], row[1], row[2]) for row in rows)


def _kyc_case(row: Row) -> KycCase:
    """Turn a row into a case; its documents arrive as a JSON list."""
    return KycCase(row[0], row[1], row[2], row[3], tuple(row[4]), row[5], row[6], row[7], row[8])
