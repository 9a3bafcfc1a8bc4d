-- Jobs that did not end, by whether a living process holds their lock; and their symbols by what became of them.
WITH running AS (
    SELECT job_id,
           EXISTS (
               SELECT FROM pg_locks
               WHERE locktype = 'advisory'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND classid = %(lock_class)s::oid
                 AND objid = sync_jobs.job_id::oid
                 AND objsubid = 2
                 AND granted
           ) AS is_alive
    FROM sync_jobs
    WHERE status = 'running'
)
SELECT (SELECT count(*) FROM running WHERE is_alive) AS alive,
       (SELECT count(*) FROM running WHERE NOT is_alive) AS dead,
       count(*) FILTER (WHERE result.status = 'success') AS success,
       count(*) FILTER (WHERE result.status = 'failed') AS failed,
       count(*) FILTER (WHERE result.status = 'skipped') AS skipped,
       count(*) FILTER (WHERE result.status = 'in_progress') AS in_progress,
       count(*) FILTER (WHERE result.status = 'pending') AS pending
FROM sync_stock_results AS result
JOIN running USING (job_id)
WHERE is_alive
