-- Ends our own former session if the server still keeps it, and with it a job's lock, after its network was cut.
SELECT pg_terminate_backend(pid, 5000)
FROM pg_locks
WHERE locktype = 'advisory'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = %(lock_class)s::oid
  AND objid = %(job_id)s::oid
  AND objsubid = 2
  AND granted
  AND pid = %(process_id)s
