-- The newest ended bulk sync of chains with failed symbols that were not asked again; none that a newer full sync has
-- overtaken, and none with so many failures that they have one cause: it must not stand before an older one.
SELECT *
FROM sync_jobs
WHERE sync_type <> 'partition'
  AND NOT prices_only
  AND status IN ('completed', 'failed')
  AND failed_stocks > 0
  AND failed_stocks <= %(max_failed)s
  AND reask_done_at IS NULL
  AND completed_at <= %(completed_before)s
  AND NOT EXISTS (
      SELECT FROM sync_jobs AS newer
      WHERE newer.job_id > sync_jobs.job_id AND newer.sync_type = 'all' AND newer.status = 'completed'
        AND NOT newer.prices_only
  )
ORDER BY job_id DESC
LIMIT 1
