-- The newest quote of the active stocks, how many of them have one, and of how many it is older than it should be.
SELECT max(quoted_at) AS newest_quote,
       count(*) AS stocks,
       count(*) FILTER (WHERE quoted_at < %(fresh_since)s) AS old_stocks
FROM stock_data
JOIN stocks USING (symbol)
WHERE is_active
