-- The stock that a provider answered last, other than one.
SELECT symbol
FROM stock_data
WHERE data_provider = %(provider)s AND symbol <> %(but)s
ORDER BY last_updated DESC, symbol
LIMIT 1
