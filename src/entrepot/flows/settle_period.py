"""Every fourteen days: what merchants' balances became is put on statements, and what is left to pay is paid.

A statement opens with what the one before left over, lists what the money book shows for its period and closes; its fees are billed. A positive balance of a
merchant who may be paid becomes a payout in the merchant's currency; anything else is carried into the next period. A debt is netted with
later sales that way. A rerun finds the period closed and pays nothing twice.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import RUNNER
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.ids import derived_id
from entrepot.base.money import split_by_weight
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.books.money.model import BANK, FX_CLEARING, MERCHANT, PSP, Entry, MoneyPosting, merge_entries
from entrepot.books.money.post import post_entries
from entrepot.books.money.read import read_account_balances, read_movements
from entrepot.books.money.statement_lines import PAYOUT, RESERVED, BalancePart, read_balance_parts, read_earned, read_first_at
from entrepot.flows.invoice import invoice_fees
from entrepot.flows.outside import Outside
from entrepot.flows.reference import Reference
from entrepot.operations.model import Channel, FeeTrigger
from entrepot.orders.settled_sales import SettledSales, read_settled_sales
from entrepot.parties.model import PAYOUT_GATE, Merchant, MerchantStatus
from entrepot.parties.store import read_bank_accounts, read_merchants, read_open_gates
from entrepot.settlement.exchange import ExchangeQuote, NoExchangeRate, quote_exchange
from entrepot.settlement.fees import ANY_CLASS, FeeInputs, FeeLine, give_back
from entrepot.settlement.model import PERIOD_DAYS, LineKind, PayoutState, Period, StatementState, payout_id_of, period_of
from entrepot.settlement.ports import Bank, BankAnswer, Transfer, TransferAnswer
from entrepot.settlement.standing import (
    OpenPayout,
    PayoutFigures,
    read_conversion_fees,
    read_last_closed,
    read_left_over,
    read_open_payouts,
    read_payout_figures,
)
from entrepot.settlement.statements import (
    Movement,
    PayoutAnswer,
    PayoutMark,
    PayoutOutcome,
    PayoutRequest,
    Statement,
    StatementClosing,
    StatementKey,
    carry_statements,
    close_statements,
    mark_payouts,
    open_statements,
    request_payouts,
)
from entrepot.settlement.store import FeeEntry, fee_entries, insert_fee_lines

_Key = tuple[uuid.UUID, str]
_TAXES: Final = ("tax.", "import_tax.", "cbec_tax.", "duty.")
_BUYERS_MONEY: Final = frozenset({PSP, "channel", "buyer_refund"})
RETURNED: Final = "payout_returned"
ATTEMPTS: Final = 5
"""How often a payout is tried before its money goes back to the merchant's balance."""
PAYOUTS_AT_ONCE: Final = 1000
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


# -- statements ------------------------------------------------------------------------------------------------------


async def close_periods(conn: Conn, outside: Outside, now: datetime) -> list[PayoutAnswer]:
    """Close every complete period that is not closed yet, the oldest first, and request or carry what its statements leave to pay."""
    last = period_of(now.date() - timedelta(days=PERIOD_DAYS))
    closed_before = await read_last_closed(conn)
    first_at = await read_first_at(conn, MERCHANT) if closed_before is None else start_of_day(closed_before)
    answers: list[PayoutAnswer] = []
    period = last if first_at is None else period_of(first_at.date())
    while period <= last and first_at is not None:
        closed = await _close_period(conn, outside.reference, period, now)
        answers += await _pay_or_carry(conn, outside.reference, closed, now)
        period = period_of(period.ends_before)
    return answers


async def _close_period(conn: Conn, reference: Reference, period: Period, now: datetime) -> list[Statement]:
    """Open and close the statements of one period for everyone who had a movement or a balance in it; return those that closed now."""
    until = start_of_day(period.ends_before)
    await invoice_fees(conn, reference, period, now)
    movements: dict[_Key, list[Movement]] = {}
    for part in await read_balance_parts(conn, start_of_day(period.starts_on), until):
        movements.setdefault((part.merchant_id, part.currency), []).append(movement_of(part))
    keys = sorted({*movements, *((one.merchant_id, one.currency) for one in await read_account_balances(conn, MERCHANT))})
    earned = {(one[0], one[1]): one[2] for one in await read_earned(conn, [key[0] for key in keys], [key[1] for key in keys], [until] * len(keys))}
    paid_out = {(one.merchant_id, one.currency): one.paid_out_minor for one in await read_left_over(conn)}
    balances = {key: earned[key] - paid_out.get(key, 0) for key in keys}
    asked = [StatementKey(*key, period) for key in keys if balances[key] or key in movements]
    opened = [one for one in await open_statements(conn, asked, now) if one.state is StatementState.OPEN] if asked else []
    closings = [_closing(one, movements.get((one.merchant_id, one.currency), []), balances[one.merchant_id, one.currency]) for one in opened]
    if not closings:
        return []
    closed = await close_statements(conn, closings, now)
    await write_acts(conn, [Act(one.merchant_id, one.statement_id, "close_statement", now, RUNNER) for one in closed])
    await write_facts(
        conn,
        [
            Fact(one.merchant_id, one.statement_id, "statement_closed", now, {"currency": one.currency, "closing_minor": one.closing_minor})
            for one in closed
        ],
    )
    return closed


def movement_of(part: BalancePart) -> Movement:
    """Return the statement line of a sum of entries: what the other account says about it."""
    account = part.account_code
    if account in _BUYERS_MONEY:
        kind, code = (LineKind.SALES if part.amount_minor > 0 else LineKind.REFUNDS), ""
    elif account.startswith("fee."):
        kind, code = LineKind.FEES, account.removeprefix("fee.")
    elif account.startswith("fee_tax."):
        kind, code = LineKind.FEE_TAXES, account.removeprefix("fee_tax.")
    elif account.startswith(_TAXES):
        kind, code = LineKind.TAXES_WITHHELD, account
    elif account == RESERVED:
        kind, code = LineKind.RESERVE, ""
    elif part.posting_kind == RETURNED:
        kind, code = LineKind.PAYOUT, "returned"
    else:
        kind, code = LineKind.ADJUSTMENTS, account
    return Movement(kind, code, part.amount_minor, part.entry_count)


def _closing(statement: Statement, movements: Sequence[Movement], balance_minor: int) -> StatementClosing:
    """Return the closing of a statement; what reached the book late, for a period closed before, stands on it as a line of its own."""
    rest = balance_minor - statement.opening_minor - sum(one.amount_minor for one in movements)
    late = [Movement(LineKind.ADJUSTMENTS, "earlier_periods", rest)] if rest else []
    return StatementClosing(StatementKey(statement.merchant_id, statement.currency, statement.period), (*movements, *late))


# -- payouts ---------------------------------------------------------------------------------------------------------


class _Payable(Struct, frozen=True):
    """A statement that will be paid: the conversion, and the fees that are taken out of it."""

    statement: Statement
    quote: ExchangeQuote
    fees: tuple[FeeLine, ...]


async def _pay_or_carry(conn: Conn, reference: Reference, closed: Sequence[Statement], now: datetime) -> list[PayoutAnswer]:
    """Request the payout of what may be paid, post it, and carry the rest forward."""
    payable = await _payable(conn, reference, closed, now)
    paid_keys = {(one.statement.merchant_id, one.statement.statement_id) for one in payable}
    carried = [(one.merchant_id, one.statement_id) for one in closed if (one.merchant_id, one.statement_id) not in paid_keys]
    await carry_statements(conn, carried)
    answers = [PayoutAnswer(*key, PayoutOutcome.CARRIED, None) for key in carried]
    if not payable:
        return answers
    answers += await request_payouts(conn, [PayoutRequest(one.statement.merchant_id, one.statement.statement_id, one.quote) for one in payable], now)
    entries: list[FeeEntry] = []
    for one in payable:
        entries += fee_entries(one.statement.merchant_id, "conversion", payout_id_of(one.statement.statement_id), 0, one.fees, now)
    await insert_fee_lines(conn, entries)
    await post_entries(conn, [_payout_posting(one, now) for one in payable])
    paid = [(one.statement, payout_id_of(one.statement.statement_id)) for one in payable]
    await write_acts(conn, [Act(statement.merchant_id, payout_id, "request_payout", now, RUNNER) for statement, payout_id in paid])
    return answers


async def _payable(conn: Conn, reference: Reference, closed: Sequence[Statement], now: datetime) -> list[_Payable]:
    """Return the statements that leave something to pay to a merchant who may be paid, each with its conversion."""
    positive = [one for one in closed if (one.closing_minor or 0) > 0]
    merchant_ids = sorted({one.merchant_id for one in positive})
    merchants = await read_merchants(conn, merchant_ids)
    gates = await read_open_gates(conn, merchant_ids)
    accounts = await read_bank_accounts(conn, merchant_ids, now.date())
    open_to = {
        merchant_id: merchant
        for merchant_id, merchant in merchants.items()
        if merchant.status == MerchantStatus.ACTIVE
        and PAYOUT_GATE in gates.get(merchant_id, frozenset())
        and (merchant_id, merchant.payout_currency) in accounts
    }
    ready = [one for one in positive if one.merchant_id in open_to]
    foreign = [one for one in ready if open_to[one.merchant_id].payout_currency != one.currency]
    sales: dict[_Key, list[SettledSales]] = {}
    for sold in await read_settled_sales(conn, [one.merchant_id for one in foreign], [one.currency for one in foreign]):
        sales.setdefault((sold.merchant_id, sold.currency), []).append(sold)
    quoted = [_quote(reference, one, open_to[one.merchant_id], sales.get((one.merchant_id, one.currency), []), now) for one in ready]
    return [one for one in quoted if one is not None]


def _quote(reference: Reference, statement: Statement, merchant: Merchant, sales: Sequence[SettledSales], now: datetime) -> _Payable | None:
    """Convert a closing balance at the stored rate of the day and take the spread of each plan that charges one; None without a rate."""
    day = now.date()
    quote = quote_exchange(statement.closing_minor or 0, statement.currency, merchant.payout_currency, reference.rates, day, Decimal(0))
    if isinstance(quote, NoExchangeRate):
        return None
    shares = split_by_weight(quote.converted_minor, [one.sold_minor for one in sales])
    fees = [fee for sold, share in zip(sales, shares, strict=True) for fee in _spreads(reference, sold, share, quote, now)]
    return _Payable(statement, replace(quote, spread_minor=sum(fee.amount_minor for fee in fees)), tuple(fees))


def _spreads(reference: Reference, sold: SettledSales, converted_minor: int, quote: ExchangeQuote, now: datetime) -> list[FeeLine]:
    """Return what the plan of some sales charges on their share of a conversion, in the currency paid; the card's rate has no currency."""
    plan = reference.registry.plan(sold.model_code, sold.plan_version)
    lines: list[FeeLine] = []
    for code in plan.fee_codes(FeeTrigger.CONVERSION, Channel(sold.channel_code)):
        ready = reference.fees.card_for(code, sold.marketplace_code, sold.model_code, ANY_CLASS, now.date())
        inputs = FeeInputs(sold.marketplace_code, sold.model_code, now.date(), quote.target, converted_minor=converted_minor)
        charged = ready.charge(inputs, 0, None) if ready is not None else None
        if ready is None or charged is None or not charged.amount_minor:
            continue
        told = {**charged.inputs, "rate_id": quote.rate_id, "from": quote.source, "to": quote.target}
        lines.append(FeeLine(code, str(FeeTrigger.CONVERSION), charged.amount_minor, quote.target, ready.card.rule_version, 1, told))
    return lines


def _payout_posting(payable: _Payable, now: datetime) -> MoneyPosting:
    """Return the entries of a payout: out of the balance, through the exchange account when the currencies differ, to the bank and the fees."""
    statement, quote = payable.statement, payable.quote
    payout_id = payout_id_of(statement.statement_id)
    entries = [
        *_conversion(quote.minor, quote.source, quote.converted_minor, quote.target),
        Entry(BANK, quote.target, -quote.paid_minor),
        *(Entry(f"fee.{fee.fee_code}", quote.target, -fee.amount_minor) for fee in payable.fees),
    ]
    return MoneyPosting(
        statement.merchant_id, derived_id("payout posted", payout_id), now, PAYOUT, "payout", payout_id, merge_entries(entries), rate_id=quote.rate_id
    )


def _conversion(minor: int, source: str, converted_minor: int, target: str) -> list[Entry]:
    """Return the entries that take an amount out of the balance and make it available in the target currency."""
    if source == target:
        return [Entry(MERCHANT, source, minor)]
    return [Entry(MERCHANT, source, minor), Entry(FX_CLEARING, source, -minor), Entry(FX_CLEARING, target, converted_minor)]


# -- the bank --------------------------------------------------------------------------------------------------------


async def send_payouts(conn: Conn, bank: Bank, now: datetime) -> list[TransferAnswer]:
    """Hand waiting payouts to the bank, failed ones once more under the same id; a rejected one, or the last attempt, gives the money back."""
    waiting = await read_open_payouts(conn, PAYOUTS_AT_ONCE)
    again = [one for one in waiting if one.state is PayoutState.FAILED]
    await mark_payouts(conn, [PayoutMark(one.merchant_id, one.payout_id, PayoutState.RETRY) for one in again], now)
    accounts = await read_bank_accounts(conn, sorted({one.merchant_id for one in waiting}), now.date())
    transfers = [
        Transfer(
            one.payout_id,
            accounts[one.merchant_id, one.paid_currency].provider_token,
            one.paid_minor,
            one.paid_currency,
            one.attempt_count + (one.state is PayoutState.FAILED),
            now,
        )
        for one in waiting
        if (one.merchant_id, one.paid_currency) in accounts
    ]
    answers = {one.transfer_id: one for one in await bank.transfer(transfers)}
    missing = [TransferAnswer(one.payout_id, BankAnswer.FAILED, reason="no_bank_account") for one in waiting if one.payout_id not in answers]
    answers |= {one.transfer_id: one for one in missing}
    await mark_payouts(conn, [_mark(one, answers[one.payout_id]) for one in waiting], now)
    given_up = [one for one in waiting if _is_given_up(one, answers[one.payout_id])]
    await return_payouts(conn, [(one.merchant_id, one.payout_id) for one in given_up], "given_up", now)
    return [answers[one.payout_id] for one in waiting]


def _mark(payout: OpenPayout, answer: TransferAnswer) -> PayoutMark:
    """Return what the bank's answer makes of a payout."""
    state = PayoutState.SENT if answer.answer is BankAnswer.TAKEN else PayoutState.FAILED
    return PayoutMark(payout.merchant_id, payout.payout_id, state, answer.reference, answer.reason)


def _is_given_up(payout: OpenPayout, answer: TransferAnswer) -> bool:
    """Tell whether a payout that failed is not tried again."""
    attempts = payout.attempt_count + (payout.state is PayoutState.FAILED)
    return answer.answer is BankAnswer.REJECTED or (answer.answer is BankAnswer.FAILED and attempts >= ATTEMPTS)


async def return_payouts(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID]], reason: str, now: datetime) -> None:
    """Take back payouts (merchant, payout) that the bank returned or never took: the merchant's balance is as before, spread fee included."""
    if not keys:
        return
    await mark_payouts(conn, [PayoutMark(*key, PayoutState.RETURNED, failure=reason) for key in keys], now)
    figures = await read_payout_figures(conn, [key[0] for key in keys], [key[1] for key in keys])
    charged: dict[uuid.UUID, list[FeeLine]] = {}
    for payout_id, line in await read_conversion_fees(conn, [key[0] for key in keys], [key[1] for key in keys]):
        charged.setdefault(payout_id, []).append(line)
    entries: list[FeeEntry] = []
    for one in figures:
        back = [give_back(fee, RETURNED, fee.amount_minor, 1, 1) for fee in charged.get(one.payout_id, [])]
        entries += fee_entries(one.merchant_id, "conversion", one.payout_id, 0, back, now)
    await insert_fee_lines(conn, entries)
    await post_entries(conn, [_return_posting(one, charged, now) for one in figures])
    await write_acts(conn, [Act(one.merchant_id, one.payout_id, "return_payout", now, RUNNER, reason) for one in figures])


def _return_posting(payout: PayoutFigures, charged: Mapping[uuid.UUID, Sequence[FeeLine]], now: datetime) -> MoneyPosting:
    """Return the entries of a payout the other way round, at the same rate."""
    converted = payout.paid_minor + payout.spread_minor
    entries = [
        *_conversion(payout.amount_minor, payout.currency, converted, payout.paid_currency),
        Entry(BANK, payout.paid_currency, -payout.paid_minor),
        *(Entry(f"fee.{fee.fee_code}", fee.currency, -fee.amount_minor) for fee in charged.get(payout.payout_id, ())),
    ]
    back = merge_entries([replace(entry, amount_minor=-entry.amount_minor) for entry in entries])
    posting_id = derived_id("payout returned", payout.payout_id)
    return MoneyPosting(payout.merchant_id, posting_id, now, RETURNED, "payout", payout.payout_id, back, rate_id=payout.rate_id)


async def collect_from_processor(conn: Conn, now: datetime) -> int:
    """Take over from the payment processor what it held at the start of the day, and return in how many balances; a rerun takes nothing twice.

    The entries name no checkout: what a buyer paid stays proven by the entries of the checkout alone.
    """
    until = start_of_day(now.date())
    held: dict[_Key, int] = {}
    for merchant_id, currency, _, minor in await read_movements(conn, _BEGINNING, until, PSP):
        held[merchant_id, currency] = held.get((merchant_id, currency), 0) + minor
    postings = [
        MoneyPosting(
            merchant_id,
            derived_id("collect", merchant_id, currency, until.date()),
            now,
            "collect",
            "day",
            derived_id("collect", until.date()),
            [Entry(PSP, currency, -minor), Entry(BANK, currency, minor)],
        )
        for (merchant_id, currency), minor in sorted(held.items())
        if minor
    ]
    return len(await post_entries(conn, postings))
