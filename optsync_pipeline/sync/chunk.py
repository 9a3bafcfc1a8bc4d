"""From a chunk of fetched replies to the rows of one transaction: validate once, judge once, compute once.

What decides about a whole symbol is here; what makes rows of a table is in frames.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import pandas as pd

from optsync_pipeline.calendar import is_market_open, latest_session
from optsync_pipeline.providers.base import Answer, FetchError, NoOptions, RefusedContract, StaleReply, UnknownSymbol
from optsync_pipeline.settings import Settings
from optsync_pipeline.storage.market_tables import ChunkRows
from optsync_pipeline.storage.stocks import StoredQuotes
from optsync_pipeline.sync.fetch_pool import Fetched
from optsync_pipeline.sync.frames import (
    Row,
    chain_frame,
    premium_frame,
    rejected_frame,
    stock_data_frame,
    stock_prices_frame,
)
from optsync_pipeline.sync.whole_chains import strikes_of

ANSWER_TYPES = frozenset({NoOptions.error_type, UnknownSymbol.error_type})


def build_chunk(
    fetched: Sequence[Fetched],
    *,
    job_id: int,
    settings: Settings,
    now: datetime,
    delays: Mapping[str, timedelta],
    stored: Mapping[str, StoredQuotes],
) -> ChunkRows:
    """Turn fetched replies into rows.

    delays: how far each provider's quotes lie behind the market. stored: what option_chains holds of these symbols,
    so that a late reply of emptied quotes does not replace good rows of the same session.
    """
    accepted: list[Fetched] = []
    rejected: list[Row] = []
    results: dict[str, Row] = {}
    for one in fetched:
        error = one.result.error or _lost_quotes(one, stored, now)
        if error is None:
            accepted.append(one)
        results[one.request.symbol] = result_row(one, error, now)
        rejected.extend(_refused_rows(one, error))
    replies = [one.result.reply for one in accepted if one.result.reply is not None]
    chains, refused_by_schema = chain_frame(replies, [one.request.now for one in accepted])
    premiums, refused_by_rule = premium_frame(chains, settings)
    refused = rejected_frame(rejected, [refused_by_schema, refused_by_rule], job_id, now)
    _count(results, chains, premiums, refused)
    for frame in (chains, premiums):
        frame["last_updated"] = frame["updated_at"] = now
    return ChunkRows(
        job_id=job_id,
        stock_data=stock_data_frame(replies, now),
        stock_prices=stock_prices_frame(replies, delays, now),
        option_chains=chains,
        stock_premiums=premiums,
        rejected_quotes=refused,
        results=list(results.values()),
        answers={symbol: row["error_type"] for symbol, row in results.items() if _is_worth_remembering(row)},
    )


def _is_worth_remembering(row: Row) -> bool:
    """Whether a chain was found, or every provider that was asked says that there is none: one may yet serve it."""
    kinds = {attempt["error_type"] for attempt in row["attempts"]}
    return row["status"] == "success" or (row["status"] == "skipped" and bool(kinds) and kinds <= ANSWER_TYPES)


def _lost_quotes(one: Fetched, stored: Mapping[str, StoredQuotes], now: datetime) -> FetchError | None:
    """Refuse a reply that came after the close with most of the quotes gone that the same session's rows still have."""
    reply, before = one.result.reply, stored.get(one.request.symbol)
    if reply is None or before is None or is_market_open(now) or before.quoted_at < latest_session(now).open:
        return None
    if set(before.expirations) != set(reply.expirations):
        return None
    two_sided = sum(1 for quote in reply.contracts if (quote.bid or 0) > 0 and (quote.ask or 0) >= (quote.bid or 0))
    if 2 * two_sided >= before.two_sided:
        return None
    return StaleReply(
        f"{reply.provider} gives {two_sided} two-sided quotes of {one.request.symbol} after the close, where this "
        f"session's rows have {before.two_sided}; those are kept"
    )


def result_row(one: Fetched, error: FetchError | None, now: datetime) -> Row:
    """Return a fetch's row of sync_stock_results, its rows not yet counted; error: why it has none."""
    result, reply = one.result, one.result.reply if error is None else None
    status = "success" if error is None else "skipped" if isinstance(error, Answer) else "failed"
    return {
        "symbol": one.request.symbol,
        "status": status,
        "started_at": one.request.now,
        "completed_at": now,
        "duration_ms": one.duration_ms,
        "options_fetched": len(reply.contracts) + len(reply.refused) if reply else len(result.refused),
        "options_inserted": 0,
        "options_rejected": 0,
        "premiums_inserted": 0,
        "current_price": reply.quote.current_price if reply else None,
        "expirations": list(reply.expirations) if reply else [],
        "quoted_at": reply.quote.quoted_at if reply else None,
        "error_type": error.error_type if error else None,
        "error_message": str(error) if error else None,
        "retry_count": result.retry_count,
        "requests": result.requests,
        "data_provider": reply.provider if reply else None,
        "attempts": [asdict(attempt) for attempt in result.attempts],
        "strikes": strikes_of(reply) if reply and reply.expirations else None,
        "chain_doubt": result.doubt.kind if result.doubt else None,
        "chain_note": result.doubt.note if result.doubt else None,
    }


def _refused_rows(one: Fetched, error: FetchError | None) -> list[Row]:
    """Contracts that were refused before they became rows: by the provider's reader, or with their whole reply."""
    reply = one.result.reply
    # Where another provider delivered, a dead chain's contracts may well be sellable: only the attempts tell of it.
    refused = list(reply.refused if reply else one.result.refused)
    if reply is not None and error is not None:
        refused.extend(RefusedContract(quote.contract_symbol, "stale_quote", str(error)) for quote in reply.contracts)
    provider = reply.provider if reply else one.result.refused_provider
    return [{"symbol": one.request.symbol, "data_provider": provider, **contract._asdict()} for contract in refused]


def _count(
    results: dict[str, Row],
    chains: pd.DataFrame,
    premiums: pd.DataFrame,
    rejected: pd.DataFrame,
) -> None:
    counted = {
        "options_inserted": chains["symbol"].value_counts(),
        "premiums_inserted": premiums["symbol"].value_counts(),
        "options_rejected": rejected["symbol"].value_counts(),
    }
    for name, counts in counted.items():
        for symbol, count in counts.items():
            results[str(symbol)][name] = int(count)
