-- The sync that ended last of each kind: what was asked for, and whether it fetched chains or prices alone.
SELECT DISTINCT ON (sync_type, prices_only)
       job_id, sync_type, prices_only, status, total_stocks, successful_stocks, failed_stocks, skipped_stocks,
       duration_seconds, completed_at
FROM sync_jobs
WHERE status IN ('completed', 'failed') AND completed_at IS NOT NULL
ORDER BY sync_type, prices_only, completed_at DESC, job_id DESC
