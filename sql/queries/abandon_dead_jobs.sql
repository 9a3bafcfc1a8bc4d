-- Says of running jobs whose process is gone that they failed.
UPDATE sync_jobs
SET status = 'failed', completed_at = %(now)s
WHERE status = 'running'
  AND NOT EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(lock_class)s::oid
        AND objid = sync_jobs.job_id::oid
        AND objsubid = 2
        AND granted
  )
RETURNING job_id
