"""What customs says: answers move declarations on, assessments that differ from the quote are kept beside it for the true-up."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from entrepot.base.sql import Conn, columns, fetch, json_column
from entrepot.customs.model import DECLARATION_STATES, STATE_OF_ANSWER, CustomsAnswer
from entrepot.customs.quota import rounds_of


class Applied(StrEnum):
    """What an answer did: moved the declaration, was known, or came when its state no longer led there."""

    APPLIED = "applied"
    EXISTS = "exists"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"


async def apply_answers(conn: Conn, answers: Sequence[CustomsAnswer], at: datetime) -> list[Applied]:
    """Record answers under their keys and move the declarations; a replay and a late answer change no state."""
    outcomes = [Applied.UNKNOWN] * len(answers)
    for dealt in rounds_of(answers, lambda answer: (answer.merchant_id, answer.declaration_id)):
        chosen = [answer for _, answer in dealt]
        rows = await fetch(
            conn,
            _APPLY,
            {
                **columns(chosen, "merchant_id", "declaration_id", "answer_key", "cause_code", "remedy"),
                "targets": [str(STATE_OF_ANSWER[answer.kind]) for answer in chosen],
                "bodies": json_column({"answer": str(answer.kind), "cause": answer.cause_code, "remedy": answer.remedy} for answer in chosen),
                "at": at,
                "sources": [source for source, targets in DECLARATION_STATES.transitions.items() for _ in targets],
                "allowed": [target for targets in DECLARATION_STATES.transitions.values() for target in sorted(targets)],
            },
        )
        found = {(row[0], row[1]): (row[2], row[3]) for row in rows}
        for position, answer in dealt:
            known = found.get((answer.merchant_id, answer.declaration_id))
            if known is not None:
                is_noted, is_moved = known
                outcomes[position] = Applied.APPLIED if is_moved else Applied.NOT_APPLICABLE if is_noted else Applied.EXISTS
    return outcomes


_APPLY = """
    with answer as (
        select t.* from unnest(%(merchant_id)s::uuid[], %(declaration_id)s::uuid[], %(answer_key)s::text[], %(targets)s::text[],
                               %(cause_code)s::text[], %(remedy)s::text[], %(bodies)s::jsonb[])
            as t(merchant_id, declaration_id, answer_key, target, cause_code, remedy, body)
        join declaration d on d.merchant_id = t.merchant_id and d.declaration_id = t.declaration_id
    ), noted as (
        insert into customs_message (merchant_id, message_key, declaration_id, kind, body, at)
        select merchant_id, answer_key, declaration_id, 'answer', body, %(at)s from answer
        on conflict do nothing returning merchant_id, message_key
    ), moved as (
        update declaration d set state = a.target, state_at = %(at)s, cause_code = a.cause_code, remedy = a.remedy
        from answer a join noted n on n.merchant_id = a.merchant_id and n.message_key = a.answer_key
        where d.merchant_id = a.merchant_id and d.declaration_id = a.declaration_id
          and exists (select 1 from unnest(%(sources)s::text[], %(allowed)s::text[]) as s(source, target)
                      where s.source = d.state and s.target = a.target)
        returning d.merchant_id, d.declaration_id
    )
    select a.merchant_id, a.declaration_id, n.message_key is not null, m.declaration_id is not null
    from answer a
    left join noted n on n.merchant_id = a.merchant_id and n.message_key = a.answer_key
    left join moved m on m.merchant_id = a.merchant_id and m.declaration_id = a.declaration_id
"""


class CustomsAssessment(Struct, frozen=True):
    """What customs assessed for a declared line, in minor units of the declaration's currency."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    line_no: int
    hs_code: str
    duty_minor: int
    tax_minor: int


class Variance(Struct, frozen=True):
    """Assessed less quoted duty and tax of a line in minor units; the party that the policy names bears it."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    line_no: int
    duty_minor: int
    tax_minor: int
    currency: str


async def record_assessments(conn: Conn, assessments: Sequence[CustomsAssessment], at: datetime) -> list[Variance]:
    """Keep what customs assessed beside the quote and return the variances of lines assessed now; a line is assessed once."""
    rows = await fetch(
        conn,
        """update declaration_line l
           set assessed_hs_code = t.hs_code, assessed_duty_minor = t.duty_minor, assessed_tax_minor = t.tax_minor, assessed_at = %(at)s
           from unnest(%(merchant_id)s::uuid[], %(declaration_id)s::uuid[], %(line_no)s::integer[], %(hs_code)s::text[],
                       %(duty_minor)s::bigint[], %(tax_minor)s::bigint[]) as t(merchant_id, declaration_id, line_no, hs_code, duty_minor, tax_minor),
                declaration d
           where l.merchant_id = t.merchant_id and l.declaration_id = t.declaration_id and l.line_no = t.line_no and l.assessed_at is null
             and d.merchant_id = l.merchant_id and d.declaration_id = l.declaration_id
           returning l.merchant_id, l.declaration_id, l.line_no, l.assessed_duty_minor - l.duty_minor, l.assessed_tax_minor - l.tax_minor, d.currency""",
        {**columns(assessments, "merchant_id", "declaration_id", "line_no", "hs_code", "duty_minor", "tax_minor"), "at": at},
    )
    return sorted((Variance(*row) for row in rows), key=lambda variance: (variance.merchant_id, variance.declaration_id, variance.line_no))
