"""What whoever looks at returned goods may find and decide, in words; floors and merchants choose from the same."""

from typing import Final

from entrepot.base.errors import EntrepotError
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.words import told
from entrepot.warehouse.grading import Disposition, Grade, target_of

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
_SOMEWHERE: Final = "X"
"""A bin for questions in which it does not matter which one."""


def grading_fault(language: Language, grade: Grade, disposition: Disposition, note: str) -> str:
    """Return why the warehouse's rule refuses a grade with what becomes of it, or nothing."""
    try:
        target_of(grade, disposition, "", _SOMEWHERE, note)
    except EntrepotError as refused:
        return told(language, refused)
    return ""
