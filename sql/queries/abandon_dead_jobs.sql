-- Ends running jobs whose process is gone. Failed means that nothing could be done; some left undone is cancelled.
UPDATE sync_jobs
SET status = CASE
        WHEN told.successful + told.skipped = 0 THEN 'failed'
        WHEN told.unfinished > 0 THEN 'cancelled'
        ELSE 'completed'
    END,
    completed_at = %(now)s,
    died_at = %(now)s
FROM sync_job_counts AS told
WHERE sync_jobs.job_id = told.job_id
  AND status = 'running'
  AND NOT EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(lock_class)s::oid
        AND objid = sync_jobs.job_id::oid
        AND objsubid = 2
        AND granted
  )
RETURNING sync_jobs.job_id
