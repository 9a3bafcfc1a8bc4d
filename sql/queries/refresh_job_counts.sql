-- Counts an ended job again after some of its symbols were asked again. completed_at moves, so that a ranking follows.
-- A job of which nothing could be done is completed once something was, unless symbols of it were never asked.
WITH told AS (
    SELECT count(*) AS total,
           count(*) FILTER (WHERE status = 'success') AS successful,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'skipped') AS skipped,
           count(*) FILTER (WHERE status IN ('pending', 'in_progress')) AS unfinished
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
)
UPDATE sync_jobs
SET status = CASE
        WHEN status = 'failed' AND told.successful + told.skipped > 0 AND told.unfinished = 0 THEN 'completed'
        ELSE status
    END,
    completed_at = CASE WHEN completed_at IS NULL THEN NULL ELSE %(now)s END,
    total_stocks = told.total,
    successful_stocks = told.successful,
    failed_stocks = told.failed,
    skipped_stocks = told.skipped,
    error_summary = faults.summary
FROM told, faults
WHERE job_id = %(job_id)s
