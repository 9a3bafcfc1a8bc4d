"""How outcomes of symbols read in Dagster: the metadata of a materialisation, and the failure that names the failed."""

from collections.abc import Mapping, Sequence

import dagster as dg

from optsync_pipeline.sync.outcome import SymbolOutcome

NAMES_SHOWN_PER_KIND = 200


def outcome_metadata(outcome: SymbolOutcome) -> dict[str, dg.MetadataValue]:
    """Return what the UI shows for a symbol: counts of contracts, requests, seconds, times, dollars a share."""
    metadata: dict[str, dg.MetadataValue] = {
        "status": dg.MetadataValue.text(outcome.status),
        "contracts": dg.MetadataValue.int(outcome.options_inserted),
        "rejected": dg.MetadataValue.int(outcome.options_rejected),
        "premiums": dg.MetadataValue.int(outcome.premiums_inserted),
        "requests": dg.MetadataValue.int(outcome.requests),
        "duration_seconds": dg.MetadataValue.float(round(outcome.duration_ms / 1000, 3)),
    }
    if outcome.error_type is not None:
        metadata["reason"] = dg.MetadataValue.text(f"{outcome.error_type}: {outcome.error_message}")
    if outcome.chain_note is not None:
        metadata["chain_note"] = dg.MetadataValue.text(outcome.chain_note)
    if outcome.data_provider is not None:
        metadata["provider"] = dg.MetadataValue.text(outcome.data_provider)
    if outcome.quoted_at is not None:
        metadata["quote_time"] = dg.MetadataValue.timestamp(outcome.quoted_at)
    if outcome.expirations:
        metadata["expirations"] = dg.MetadataValue.text(", ".join(day.isoformat() for day in outcome.expirations))
    if outcome.current_price is not None:
        metadata["price"] = dg.MetadataValue.float(outcome.current_price)
    return metadata


def symbols_failed(failed: Mapping[str, Sequence[str]]) -> dg.Failure:
    """Return the failure that ends a sync whose symbols failed, by kind; nothing is to be tried again."""
    total = sum(len(symbols) for symbols in failed.values())
    first = ", ".join(sorted(symbol for symbols in failed.values() for symbol in symbols)[:10])
    return dg.Failure(
        description=f"{total} symbol{'s' if total > 1 else ''} failed, the others are done: "
        f"{first}{' and more' if total > 10 else ''}",
        metadata={kind: dg.MetadataValue.text(_names(failed[kind])) for kind in sorted(failed) if failed[kind]},
        allow_retries=False,
    )


def _names(symbols: Sequence[str]) -> str:
    shown = ", ".join(sorted(symbols)[:NAMES_SHOWN_PER_KIND])
    hidden = len(symbols) - NAMES_SHOWN_PER_KIND
    return f"{shown} and {hidden} more (optsync status)" if hidden > 0 else shown
