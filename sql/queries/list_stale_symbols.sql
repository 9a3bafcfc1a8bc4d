-- Active stocks whose quote was not written since a time, or never.
SELECT stocks.symbol
FROM stocks
LEFT JOIN stock_data USING (symbol)
WHERE is_active
  AND (last_updated IS NULL OR last_updated < %(older_than)s)
ORDER BY market_cap DESC NULLS LAST, stocks.symbol
