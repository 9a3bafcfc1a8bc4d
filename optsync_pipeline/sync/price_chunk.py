"""From a chunk of quotes to the rows of one transaction: stock_data and stock_prices; chains stay what they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.market_tables import ChunkRows
from optsync_pipeline.storage.stocks import KnownExpirations
from optsync_pipeline.sync.chunk import result_row
from optsync_pipeline.sync.fetch_pool import Fetched
from optsync_pipeline.sync.frames import (
    chain_frame,
    premium_frame,
    rejected_frame,
    stock_data_frame,
    stock_prices_frame,
)


def build_price_chunk(
    fetched: Sequence[Fetched],
    *,
    job_id: int,
    settings: Settings,
    now: datetime,
    delays: Mapping[str, timedelta],
    known: Mapping[str, KnownExpirations],
) -> ChunkRows:
    """Turn quotes into rows. known: the expirations that are stored of each symbol, which are kept."""
    replies = [one.result.reply for one in fetched if one.result.reply is not None]
    stock_data = stock_data_frame(replies, now)
    kept = [known.get(reply.symbol, KnownExpirations()) for reply in replies]
    stock_data["listed_expirations"] = [list(expirations.dates) for expirations in kept]
    stock_data["expirations_provider"] = [expirations.provider for expirations in kept]
    no_chains, _ = chain_frame([], [])
    no_premiums, _ = premium_frame(no_chains, settings)
    return ChunkRows(
        job_id=job_id,
        stock_data=stock_data,
        stock_prices=stock_prices_frame(replies, delays, now),
        option_chains=no_chains,
        stock_premiums=no_premiums,
        rejected_quotes=rejected_frame([], [], job_id, now),
        results=[result_row(one, one.result.error, now) for one in fetched],
        answers={},
        prices_only=True,
    )
