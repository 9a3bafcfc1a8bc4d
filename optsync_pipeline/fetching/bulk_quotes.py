"""The quotes of many stocks, as many a request as the vendor takes: for syncs of prices alone.

One request after the other: 12,000 stocks are 240 requests at Yahoo, and its limit is the bound. A symbol that a vendor
does not speak of, or whose batch failed, goes on to the next vendor. Chains are router.py's.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from optsync_pipeline.fetching.rate_limit import StoppedError
from optsync_pipeline.fetching.retry import Steps
from optsync_pipeline.fetching.router import Router
from optsync_pipeline.fetching.story import FetchResult, Story, Tries
from optsync_pipeline.providers.base import (
    BulkQuotes,
    ChainReply,
    FetchError,
    QuotesReply,
    RateLimited,
    StockQuote,
    UnknownSymbol,
)


@dataclass(slots=True)
class _Pending:
    """A symbol without a quote so far, and whom it was not asked of yet."""

    story: Story
    names: list[str] = field(default_factory=list)


def quote_steps(
    router: Router,
    providers: Mapping[str, BulkQuotes],
    symbols: Iterable[str],
    *,
    clock: Callable[[], datetime],
    deliver: Callable[[FetchResult], None],
) -> Steps[None]:
    """Fetch the quotes of `symbols`; deliver a result of each: a reply without contracts, or why there is none.

    providers: by name, in their order. A stop leaves the rest undelivered.
    """
    pending = {symbol: _Pending(Story(symbol), list(providers)) for symbol in symbols}
    queue = deque(pending)
    try:
        while queue:
            first = pending[queue[0]]
            token = yield from router.next_token(first.names, first.story)
            if token is None:
                deliver(first.story.end(None, stopped=False))
                queue.popleft()
                continue
            provider = providers[token.provider]
            batch = _take_batch(queue, pending, token.provider, provider.symbols_per_request)
            # Where another vendor can be asked of all these meanwhile, a 429 is not waited out.
            is_hurried = all(pending[symbol].names for symbol in batch)
            tries, began = Tries(), time.monotonic()
            call = partial(_fetch_quotes, provider, batch, clock)
            reply = yield from router.calls.ask_until_answered(token, call, tries, waits_out_limits=not is_hurried)
            duration_ms = (time.monotonic() - began) * 1000
            has_another_turn = tries.were_cut_off or (is_hurried and isinstance(tries.error, RateLimited))
            for symbol, result in _settle(batch, pending, reply, tries, token.provider, duration_ms, has_another_turn):
                if result is None:
                    queue.append(symbol)
                else:
                    deliver(result)
    except StoppedError:
        return


def _fetch_quotes(provider: BulkQuotes, batch: Sequence[str], clock: Callable[[], datetime]) -> QuotesReply:
    return provider.fetch_quotes(batch, clock())


def _take_batch(queue: deque[str], pending: Mapping[str, _Pending], provider: str, size: int) -> list[str]:
    """Take the next symbols that this provider was not asked for yet."""
    batch = [symbol for symbol in queue if provider in pending[symbol].names][:size]
    taken = set(batch)
    for symbol in batch:
        pending[symbol].names.remove(provider)
    rest = [symbol for symbol in queue if symbol not in taken]
    queue.clear()
    queue.extend(rest)
    return batch


def _settle(
    batch: Sequence[str],
    pending: Mapping[str, _Pending],
    reply: QuotesReply | None,
    tries: Tries,
    provider: str,
    duration_ms: float,
    has_another_turn: bool,
) -> list[tuple[str, FetchResult | None]]:
    """Return what each symbol of a batch came to; None where another provider is to be asked."""
    settled: list[tuple[str, FetchResult | None]] = []
    costs = tries.requests
    for number, symbol in enumerate(batch):
        # The batch's requests and tries are told once, by its first symbol: the sum over the symbols is what was spent.
        own = Tries()
        own.requests = costs if number == 0 else [0]
        quote = reply.quotes.get(symbol) if reply else None
        if quote is None:
            own.error = tries.error if reply is None else _unknown(symbol, reply)
        one = pending[symbol]
        one.story.note(provider, own, duration_ms)
        if has_another_turn and reply is None:
            one.names.append(provider)  # once its breaker closes, or its pause is over
        if quote is not None:
            settled.append((symbol, one.story.end(_priced(symbol, provider, quote), stopped=False)))
        else:
            settled.append((symbol, None if one.names else one.story.end(None, stopped=False)))
    return settled


def _unknown(symbol: str, reply: QuotesReply) -> FetchError:
    return reply.unknown.get(symbol) or UnknownSymbol(f"{reply.provider} gives no quote of {symbol}")


def _priced(symbol: str, provider: str, quote: StockQuote) -> ChainReply:
    return ChainReply(symbol, provider, quote, expirations=(), listed_expirations=(), contracts=[])
