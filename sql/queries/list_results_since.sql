-- What became of some symbols in syncs of chains since a time: of each the latest.
SELECT DISTINCT ON (symbol) symbol, result.status, result.error_type, result.completed_at
FROM sync_stock_results AS result
JOIN sync_jobs USING (job_id)
WHERE symbol = ANY(%(symbols)s)
  AND result.completed_at > %(since)s
  AND result.status IN ('success', 'failed', 'skipped')
  AND NOT prices_only
ORDER BY symbol, result.completed_at DESC, job_id DESC
