"""What a job comes to, for the checks of its sync."""

from optsync_pipeline.storage import sync_log
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.job_report import ShortChain, report_job
from optsync_pipeline.storage.market_tables import write_chunk
from optsync_pipeline_tests.chunks import NOW, make_chunk, open_job


def test_a_job_is_told_with_its_costs_and_what_is_doubted_of_it(database: Database) -> None:
    job_id = open_job(database, ["AAPL", "MSFT", "NVDA"])
    chunk = make_chunk(job_id, ["AAPL", "MSFT"])
    chunk.results[1] |= {"chain_doubt": "mended", "chain_note": "lacked 3 of 7 strikes", "requests": 2}
    write_chunk(database, chunk)
    sync_log.note_left_out(database, job_id, {"polygon": "no plan"})
    sync_log.finish_job(database, job_id, "cancelled", NOW)

    report = report_job(database, job_id)

    assert report.tally.symbols_by_status == {"success": 2, "pending": 1}
    assert (report.contracts_stored, report.requests, report.duration_seconds) == (8, 3, 0.0)
    assert report.short_chains == [ShortChain("MSFT", "mended", "lacked 3 of 7 strikes")]
    assert [(move.symbol, move.move) for move in report.moves] == [
        ("AAPL", "not_enough_history"),
        ("MSFT", "not_enough_history"),
    ]
    assert [(share.provider, share.served) for share in report.shares] == [("yahoo", 2)]
    assert report.left_out == {"polygon": "no plan"}


def test_a_job_of_which_nothing_is_done_yet_has_no_figures(database: Database) -> None:
    report = report_job(database, open_job(database, ["AAPL"]))

    assert (report.contracts_stored, report.requests, report.duration_seconds) == (0, 0, None)
    assert [*report.short_chains, *report.moves, *report.shares] == []
