"""What the checks of a merchant are called."""

from typing import Final

from entrepot.parties.model import INBOUND_GATE, PAYOUT_GATE, listing_gate
from entrepot.surfaces.web.languages import Language, mark

GATES: Final = {PAYOUT_GATE: mark("Identity check for payouts"), INBOUND_GATE: mark("Check for sending stock in")}
"""Checks that are the same in every store."""


def gate_name(language: Language, gate: str) -> str:
    """Return what a check is called; one that opens a store says which."""
    if gate in GATES:
        return language.gettext(GATES[gate])
    return language.gettext("Listing in %(store)s", store=gate.removeprefix(listing_gate("")))
