-- Active stocks whose price was not written since a time, or never; in the order in which they are asked.
SELECT symbol
FROM sync_order
LEFT JOIN stock_data USING (symbol)
WHERE (is_watched OR NOT %(watched_only)s)
  AND (last_updated IS NULL OR last_updated < %(since)s)
ORDER BY priority, market_cap DESC NULLS LAST, symbol
