-- How old the quotes of the active stocks are, in seconds by the clock; how many stocks have none, or one from before a
-- time; and how old the ranking is.
SELECT count(*) AS stocks,
       count(*) FILTER (WHERE quoted_at IS NULL) AS without_quote,
       count(*) FILTER (WHERE quoted_at IS NULL OR quoted_at < %(behind)s) AS behind,
       extract(epoch FROM now() - max(quoted_at))::double precision AS newest,
       extract(epoch FROM now() - min(quoted_at))::double precision AS oldest,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM now() - quoted_at)::double precision) AS median,
       (SELECT extract(epoch FROM now() - max(ranked_at))::double precision FROM premium_rankings) AS ranking
FROM stocks
LEFT JOIN stock_data USING (symbol)
WHERE is_active
