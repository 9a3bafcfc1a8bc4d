"""Frames as COPY's CSV."""

import pandas as pd

from optsync_pipeline.storage.copying import COLUMNS, render


def frame_of(*symbols: str) -> pd.DataFrame:
    rows = [{**dict.fromkeys(COLUMNS["rejected_quotes"], "x"), "job_id": 7, "symbol": symbol} for symbol in symbols]
    return pd.DataFrame(rows, columns=list(COLUMNS["rejected_quotes"])).astype({"symbol": "str"})


def test_a_frame_whose_first_part_is_empty_becomes_its_rows_and_nothing_else() -> None:
    """pyarrow's writer puts uninitialised memory in the place of an empty first chunk."""
    put_together = pd.concat([frame_of("MSFT").iloc[:0], frame_of("AAPL")])

    assert render("rejected_quotes", put_together) == render("rejected_quotes", frame_of("AAPL"))
