-- The newest sync of all stocks' chains since a time, for the same targets; unfinished: some symbols were never done.
SELECT job_id, status,
       EXISTS (
           SELECT FROM sync_stock_results AS result
           WHERE result.job_id = sync_jobs.job_id AND result.status IN ('pending', 'in_progress')
       ) AS unfinished
FROM sync_jobs
WHERE sync_type = 'all'
  AND NOT prices_only
  AND started_at >= %(since)s
  AND target_dtes = %(target_dtes)s::integer[]
ORDER BY job_id DESC
LIMIT 1
