-- What option_chains holds of some symbols: how old, which expirations, how many rows with both a bid and an ask.
SELECT symbol,
       max(quoted_at) AS quoted_at,
       array_agg(DISTINCT expiration_date) AS expirations,
       count(*) FILTER (WHERE bid > 0 AND ask >= bid) AS two_sided
FROM option_chains
WHERE symbol = ANY(%(symbols)s)
GROUP BY symbol
