"""OCC contract symbols, and how rows are sorted by them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync_pipeline.providers.occ import ContractSorter, parse_occ

AUGUST_21 = date(2026, 8, 21)


@pytest.mark.parametrize(
    ("contract_symbol", "root", "strike"),
    [
        ("BRKB260821P00480000", "BRKB", 480.0),
        ("BRKB  260821P00480000", "BRKB", 480.0),
        ("F260821P00007125", "F", 7.125),
        ("XYZ1260821P00010000", "XYZ1", 10.0),
    ],
)
def test_contract_symbol_is_read_padded_or_not(contract_symbol: str, root: str, strike: float) -> None:
    occ = parse_occ(contract_symbol)
    assert occ is not None
    assert (occ.root, occ.expiration_date, occ.option_type, occ.strike_price) == (root, AUGUST_21, "put", strike)
    assert occ.text == contract_symbol.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        *("", "AAPL", "260821P00480000", "AAPL261321P00480000", "AAPL260821X00480000", "AAPL260821P0048000x"),
        *("TOOLONG260821P00480000", "AA-L260821P00480000", "AAPL26082١P00480000", "AAPL 26 821P00480000", None, 12, {}),
    ],
)
def test_what_is_no_contract_symbol_is_none(text: object) -> None:
    assert parse_occ(text) is None


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_without_an_exception(text: str) -> None:
    occ = parse_occ(text)
    assert occ is None or parse_occ(occ.text) == occ


@given(
    st.from_regex(r"[A-Z]{1,5}[0-9]?", fullmatch=True),
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    st.sampled_from(["call", "put"]),
    st.integers(1, 10**8 - 1),
)
def test_every_contract_symbol_is_read_back(root: str, day: date, option_type: str, thousandths: int) -> None:
    occ = parse_occ(f"{root}{day:%y%m%d}{option_type[0].upper()}{thousandths:08d}")
    assert occ is not None
    assert occ[:4] == (root, day, option_type, thousandths / 1000)


def test_root_is_judged_against_the_stock_not_its_spelling() -> None:
    sorter = ContractSorter("BRK.B")
    assert sorter.identify("BRKB260821P00480000", AUGUST_21) is not None
    assert sorter.identify("NGD260821P00005000", AUGUST_21) is None
    assert sorter.refused[0].rule == "adjusted_contract"


@given(st.lists(st.sampled_from([None, "", "a", "a #2", "missing", "missing #2", "\x00"])))
def test_refused_names_are_never_empty_and_used_once(names: list[str | None]) -> None:
    sorter = ContractSorter("AAPL")
    for name in names:
        sorter.refuse(name, "unreadable_contract_symbol", "")
    labels = [refused.contract_symbol for refused in sorter.refused]
    assert all(labels)
    assert len(set(labels)) == len(labels) == len(names)
