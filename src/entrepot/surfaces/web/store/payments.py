"""The payment methods of the built-in provider in words."""

from collections.abc import Mapping
from typing import Final

from entrepot.adapters.payment_provider import METHODS, PaymentMethod
from entrepot.orders.ports import PaymentAnswer
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.words import words

_CHINESE_WALLET: Final = "cn_wallet"
_METHOD_NAMES: Final[Mapping[str, str]] = {
    "card_ok": mark("Card"),
    "card_declined": mark("Card without cover"),
    "card_slow": mark("Card with a slow bank"),
    "card_timeout": mark("Card whose bank is down"),
    "card_late": mark("Card whose bank answers very late"),
    "invoice": mark("Purchase on invoice"),
    "test_wallet": mark("Test wallet"),
    "cn_wallet": mark("Chinese wallet"),
}
_ANSWERS: Final[Mapping[PaymentAnswer, str]] = {
    PaymentAnswer.APPROVED: mark(mark("Approved at once")),
    PaymentAnswer.DECLINED: mark("Declined at once"),
    PaymentAnswer.PENDING: mark("Slow to answer"),
    PaymentAnswer.TIMEOUT: mark("Does not answer at first"),
}


def methods_for(language: Language, currency: str) -> list[tuple[str, str, str]]:
    """Return the provider's methods for a currency with name and behaviour, the ones that succeed at once first."""
    offered = [code for code in METHODS if (code == _CHINESE_WALLET) == (currency == "CNY")]
    offered.sort(key=lambda code: METHODS[code].first_answer is not PaymentAnswer.APPROVED)
    return [(code, method_name(language, code), _behaviour(language, METHODS[code])) for code in offered]


def method_name(language: Language, code: str) -> str:
    """Return the name of a payment method."""
    return language.gettext(_METHOD_NAMES[code]) if code in _METHOD_NAMES else words(language, code)


def _behaviour(language: Language, method: PaymentMethod) -> str:
    """Return in words what the built-in provider answers."""
    minutes = int(method.decides_after.total_seconds()) // 60
    told = language.gettext(_ANSWERS[method.first_answer])
    if not minutes:
        return told
    if method.reason:
        return language.gettext("%(first)s, declined after %(count)s minutes", first=told, count=minutes)
    return language.gettext("%(first)s, approved after %(count)s minutes", first=told, count=minutes)
