from decimal import Decimal

import pytest
from tests.factories.customs import BOOK, ON

from entrepot.customs.cbec import CbecOrderOverLimitError, require_within_order
from entrepot.customs.goods import read_content


@pytest.mark.parametrize(
    ("text", "content", "unit"),
    [
        ("120 克", 120, "g"),
        ("30毫升", 30, "ml"),
        (" 7.5 ml ", "7.5", "ml"),
        ("5 片", 5, "piece"),
        ("2 pieces", 2, "piece"),
        ("", None, ""),
        ("见包装", None, ""),
        ("120", None, ""),
        ("-3 g", None, ""),
        ("120 克 x 2", None, ""),
    ],
)
def test_the_content_is_what_the_label_states(text, content, unit):
    assert read_content(text) == (None if content is None else Decimal(content), unit)


@pytest.mark.parametrize(("value", "pieces", "is_refused"), [(500_000, 2, False), (500_001, 2, True), (500_001, 1, False), (900_000, 1, False)])
def test_several_pieces_stay_within_the_limit_for_one_order(value, pieces, is_refused):
    if not is_refused:
        assert require_within_order(BOOK, ON, value, pieces) is None
        return
    with pytest.raises(CbecOrderOverLimitError, match="Split the items"):
        require_within_order(BOOK, ON, value, pieces)
