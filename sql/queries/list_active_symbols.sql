-- The stocks that are synced, in the order in which they are asked.
SELECT symbol
FROM sync_order
ORDER BY priority, market_cap DESC NULLS LAST, symbol
