-- Ended syncs that wrote something which no ranking has seen; a sync of prices alone changes no premium.
SELECT *
FROM sync_jobs
WHERE status <> 'running'
  AND NOT prices_only
  AND completed_at IS NOT NULL
  AND successful_stocks > 0
  AND (ranked_at IS NULL OR completed_at > ranked_at)
ORDER BY job_id
