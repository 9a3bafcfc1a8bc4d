-- How far a job is. A job that was taken up again asks its failed symbols anew: until their new result they are left.
-- recent_done and recent_seconds: its pace over the last minute, or since it was taken up.
WITH job AS (
    SELECT job_id, status = 'running' AS running, coalesce(resumed_at, started_at) AS began, resumed_at
    FROM sync_jobs
    WHERE job_id = %(job_id)s
), told AS (
    SELECT result.status, result.completed_at, began,
           result.status IN ('pending', 'in_progress')
               OR (result.status = 'failed' AND running AND coalesce(result.completed_at < resumed_at, false)) AS is_left
    FROM sync_stock_results AS result
    JOIN job USING (job_id)
)
SELECT count(*) AS total,
       count(*) FILTER (WHERE NOT is_left) AS done,
       count(*) FILTER (WHERE is_left) AS left,
       count(*) FILTER (WHERE status = 'success') AS ok,
       count(*) FILTER (WHERE status = 'failed' AND NOT is_left) AS failed,
       count(*) FILTER (WHERE status = 'skipped') AS skipped,
       count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
       count(*) FILTER (WHERE NOT is_left AND completed_at > began AND completed_at > %(now)s - interval '1 minute')
           AS recent_done,
       (SELECT greatest(1, least(60, extract(epoch FROM %(now)s - began)))::double precision FROM job) AS recent_seconds
FROM told
