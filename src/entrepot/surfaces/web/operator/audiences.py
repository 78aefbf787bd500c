"""Who of the house may do what on the operator's pages: seeing is wider than deciding, and two people share what one must not do alone."""

from typing import Final

from entrepot.parties.accounts import StaffRole
from entrepot.surfaces.web.access import Audience

BOOKKEEPERS: Final[Audience] = frozenset({StaffRole.OPERATOR, StaffRole.FINANCE})
"""Whoever may propose a correction, and start a settlement run."""
APPROVERS: Final[Audience] = frozenset({StaffRole.FINANCE})
"""Whoever may let a correction count that somebody else proposed."""
