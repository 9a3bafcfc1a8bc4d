-- How large a provider's last chain of a symbol was. One that was short and that nobody vouched for is no measure.
SELECT expirations, strikes
FROM sync_stock_results
WHERE symbol = %(symbol)s
  AND data_provider = %(provider)s
  AND status = 'success'
  AND strikes IS NOT NULL
  AND chain_doubt IS DISTINCT FROM 'unanswered'
  AND completed_at >= %(since)s
ORDER BY completed_at DESC
LIMIT 1
