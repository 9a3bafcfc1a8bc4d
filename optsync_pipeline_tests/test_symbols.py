"""One key for a stock, however it is spelled."""

import pytest

from optsync_pipeline.symbols import normalise_symbol, occ_root


@pytest.mark.parametrize("text", ["BRK.B", "BRK-B", "BRK/B", "brk.b", " brk-b\n"])
def test_every_spelling_of_a_class_share_is_one_key(text: str) -> None:
    assert normalise_symbol(text) == "BRK.B"


def test_a_lower_case_symbol_is_the_same_stock() -> None:
    assert normalise_symbol("aapl") == "AAPL"


@pytest.mark.parametrize("text", ["", " ", "AA PL", "^GSPC", "1ABC", "EURUSD=X", "BRK..B", "BRK.", "A" * 12, "ÄPFEL"])
def test_what_is_no_us_stock_symbol_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a US stock symbol") as refusal:
        normalise_symbol(text)
    assert repr(text) in str(refusal.value)


def test_the_occ_root_of_a_class_share_has_no_dot() -> None:
    assert occ_root("BRK.B") == "BRKB"


def test_the_occ_root_of_a_plain_symbol_is_the_symbol() -> None:
    assert occ_root("AAPL") == "AAPL"
