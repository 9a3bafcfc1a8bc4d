-- Asks for the end of a job that a living process works on: also one that asks for its failed symbols again. Who asks
-- again changes nothing.
UPDATE sync_jobs
SET cancel_requested_at = coalesce(cancel_requested_at, %(now)s)
WHERE job_id = %(job_id)s
  AND EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(lock_class)s::oid
        AND objid = sync_jobs.job_id::oid
        AND objsubid = 2
        AND granted
  )
