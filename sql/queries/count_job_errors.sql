-- What the failed and the skipped symbols of a job failed of, or were skipped for; the commonest first.
SELECT status, coalesce(error_type, 'unknown') AS error_type, count(*) AS symbols
FROM sync_stock_results
WHERE job_id = %(job_id)s AND status IN ('failed', 'skipped')
GROUP BY 1, 2
ORDER BY symbols DESC, error_type
