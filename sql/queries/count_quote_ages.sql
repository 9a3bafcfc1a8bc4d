-- How old the quotes of the active stocks are. A stock of which every provider said that there is nothing to have counts
-- as none; one that was never quoted counts, and as outdated.
SELECT count(*) AS stocks,
       count(quoted_at) AS quoted,
       count(*) FILTER (WHERE quoted_at IS NULL OR quoted_at < %(since)s) AS outdated,
       min(quoted_at) AS oldest,
       to_timestamp(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM quoted_at))) AS median
FROM stocks
LEFT JOIN stock_data USING (symbol)
WHERE is_active AND answer IS NULL
