-- The stocks that are synced, the largest first.
SELECT symbol
FROM stocks
WHERE is_active
ORDER BY market_cap DESC NULLS LAST, symbol
