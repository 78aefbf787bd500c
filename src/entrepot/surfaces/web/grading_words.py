"""What whoever looks at returned goods may find and decide, in words; floors and merchants choose from the same."""

from typing import Final

from entrepot.surfaces.web.languages import mark
from entrepot.warehouse.grading import Disposition, Grade

GRADES: Final = (
    (Grade.SELLABLE, mark("As new"), mark("Complete, clean, nothing missing")),
    (Grade.DAMAGED, mark("Damaged on the way"), mark("Crushed, wet or broken in transport")),
    (Grade.DEFECTIVE, mark("Defective"), mark("Does not work")),
    (Grade.CUSTOMER_DAMAGED, mark("Used or damaged by the customer"), mark("Traces of use, parts missing")),
)
"""What a grader may find: code, name, and when it fits."""
DISPOSITIONS: Final = (
    (Disposition.RESTOCK, mark("Back on sale")),
    (Disposition.KEEP, mark("Keep apart")),
    (Disposition.DISPOSE, mark("Dispose of")),
)
"""What may become of it."""
