-- Whether a living process holds the lock of a job.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = %(lock_class)s::oid
      AND objid = %(job_id)s::oid
      AND objsubid = 2
      AND granted
) AS locked
