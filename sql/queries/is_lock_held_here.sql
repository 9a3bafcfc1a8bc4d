-- Whether this very session holds the lock of a job: a connection pooler may have given us another one meanwhile.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = %(lock_class)s::oid
      AND objid = %(job_id)s::oid
      AND objsubid = 2
      AND granted
      AND pid = pg_backend_pid()
) AS held
