-- Listed expirations of some symbols that are still to come, as the last sync saw them, and who listed them.
SELECT symbol, expirations, expirations_provider
FROM stock_data
CROSS JOIN LATERAL (
    SELECT array_agg(expiration ORDER BY expiration) AS expirations
    FROM unnest(listed_expirations) AS listed (expiration)
    WHERE expiration >= %(on_or_after)s
) AS future
WHERE symbol = ANY(%(symbols)s) AND expirations IS NOT NULL
