-- Ends a job with what its results say. The time between a death and the taking up does not count as duration.
WITH told AS (
    SELECT count(*) AS total,
           count(*) FILTER (WHERE status = 'success') AS successful,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'skipped') AS skipped
    FROM sync_stock_results
    WHERE job_id = %(job_id)s
),
faults AS (
    SELECT coalesce(jsonb_object_agg(error_type, symbols), '{}'::jsonb) AS summary
    FROM (
        SELECT coalesce(error_type, 'unknown') AS error_type, count(*) AS symbols
        FROM sync_stock_results
        WHERE job_id = %(job_id)s AND status = 'failed'
        GROUP BY 1
    ) AS by_type
),
timed AS (
    SELECT coalesce(duration_seconds, 0)
           + greatest(extract(epoch FROM %(now)s - coalesce(resumed_at, started_at)), 0) AS seconds
    FROM sync_jobs
    WHERE job_id = %(job_id)s
)
UPDATE sync_jobs
SET status = %(status)s,
    completed_at = %(now)s,
    duration_seconds = timed.seconds,
    total_stocks = told.total,
    successful_stocks = told.successful,
    failed_stocks = told.failed,
    skipped_stocks = told.skipped,
    stocks_per_second = (told.successful + told.failed + told.skipped) / nullif(timed.seconds, 0),
    error_summary = faults.summary
FROM told, faults, timed
WHERE job_id = %(job_id)s
