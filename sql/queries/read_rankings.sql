-- The ranking of one strategy, or of all; of all stocks or of a watchlist; so many of each. Ranks are those among all.
WITH shown AS (
    SELECT strategy, rank, row_number() OVER (PARTITION BY strategy ORDER BY rank) AS place
    FROM premium_rankings
    WHERE (%(strategy)s::text IS NULL OR strategy = %(strategy)s)
      AND (
          %(watchlist)s::text IS NULL
          OR symbol IN (SELECT symbol FROM tv_watchlist_symbols WHERE watchlist_name = %(watchlist)s)
      )
)
SELECT premium_rankings.*, stocks.company_name
FROM shown
JOIN premium_rankings USING (strategy, rank)
JOIN stocks USING (symbol)
WHERE %(limit)s::integer IS NULL OR place <= %(limit)s
ORDER BY strategy, rank
