-- The active stocks of a watchlist, in the order in which they are asked.
SELECT symbol
FROM sync_order
JOIN tv_watchlist_symbols AS listed USING (symbol)
WHERE listed.watchlist_name = %(name)s
ORDER BY priority, market_cap DESC NULLS LAST, symbol
