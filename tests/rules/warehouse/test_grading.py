import pytest
from tests.factories.warehouse import AT, MERCHANT, PLACE, item

from entrepot.base.ids import derived_id
from entrepot.warehouse.count import ReasonSignError, UnknownReasonError, adjustment_move, require_reason
from entrepot.warehouse.grading import Disposition, Grade, condition_of, target_of
from entrepot.warehouse.model import BinMissingError, Cause, CauseKind, EvidenceMissingError, Goods, NotRestockableError
from entrepot.warehouse.scanning import Scan, ScanKey, ScanKind, ScanOutcome, fingerprint, repetition

BIN = (PLACE, "bin:A-01")


@pytest.mark.parametrize(
    ("grade", "disposition", "bin_code", "evidence", "result"),
    [
        (Grade.SELLABLE, Disposition.RESTOCK, "A-01", None, BIN),
        (Grade.SELLABLE, Disposition.KEEP, "A-01", None, BIN),
        (Grade.SELLABLE, Disposition.RESTOCK, None, None, BinMissingError),
        (Grade.DAMAGED, Disposition.RESTOCK, "A-01", None, NotRestockableError),
        (Grade.DEFECTIVE, Disposition.RESTOCK, "A-01", None, NotRestockableError),
        (Grade.CUSTOMER_DAMAGED, Disposition.RESTOCK, "A-01", None, NotRestockableError),
        (Grade.CUSTOMER_DAMAGED, Disposition.KEEP, "A-01", None, BIN),
        (Grade.DAMAGED, Disposition.KEEP, "", None, BinMissingError),
        (Grade.DEFECTIVE, Disposition.DISPOSE, None, "photo 17", ("@gone", "-")),
        (Grade.SELLABLE, Disposition.DISPOSE, None, "recalled by its maker", ("@gone", "-")),
        (Grade.DEFECTIVE, Disposition.DISPOSE, None, " ", EvidenceMissingError),
    ],
)
def test_target_of(grade, disposition, bin_code, evidence, result):
    if isinstance(result, tuple):
        assert target_of(grade, disposition, PLACE, bin_code, evidence) == result
    else:
        with pytest.raises(result):
            target_of(grade, disposition, PLACE, bin_code, evidence)


def test_condition_of():
    assert [condition_of(grade) for grade in Grade] == ["sellable", "damaged", "defective", "damaged"]


@pytest.mark.parametrize(
    ("code", "difference", "error"),
    [
        ("M", -1, None),
        ("M", 1, ReasonSignError),
        ("F", 1, None),
        ("F", -1, ReasonSignError),
        ("X", 1, None),
        ("X", -1, None),
        ("?", 1, UnknownReasonError),
    ],
)
def test_require_reason(code, difference, error):
    signs = {"M": "-", "F": "+", "X": "+-"}
    if error is None:
        require_reason(signs, code, difference)
    else:
        with pytest.raises(error):
            require_reason(signs, code, difference)


@pytest.mark.parametrize(
    ("difference", "code", "source", "target"),
    [(3, "F", "@found", PLACE), (-3, "M", PLACE, "@lost"), (-3, "5", PLACE, "@lost"), (-3, "D", PLACE, "@gone")],
)
def test_adjustment_move(difference, code, source, target):
    cause = Cause(CauseKind.ADJUST, derived_id("a"), AT, "words")
    move = adjustment_move(PLACE, "bin:A-01", Goods(MERCHANT, MERCHANT, item("mug")), difference, code, cause)
    assert (move.quantity, move.from_place_code, move.to_place_code, move.reason) == (3, source, target, "words")


def test_repetition():
    scan = Scan(ScanKey(PLACE, "d", 1), ScanKind.DOCK, AT, MERCHANT, derived_id("p"), "good=1")
    other = Scan(ScanKey(PLACE, "d", 1), ScanKind.DOCK, AT, MERCHANT, derived_id("p"), "good=2")
    known = {scan.key: fingerprint(scan)}
    assert repetition(scan, {}) is None
    assert repetition(scan, known) is ScanOutcome.EXISTS
    assert repetition(other, known) is ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES
