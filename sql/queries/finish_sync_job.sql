-- Ends a job with what its results say. The time between a death and the taking up does not count as duration.
WITH timed AS (
    SELECT coalesce(duration_seconds, 0)
           + greatest(extract(epoch FROM %(now)s - coalesce(resumed_at, started_at)), 0) AS seconds
    FROM sync_jobs
    WHERE job_id = %(job_id)s
)
UPDATE sync_jobs
SET status = %(status)s,
    completed_at = %(now)s,
    -- Who asked for the end of a job that was done by then does not mean what is asked of it later.
    cancel_requested_at = CASE WHEN %(status)s = 'cancelled' THEN cancel_requested_at END,
    duration_seconds = timed.seconds,
    total_stocks = told.total,
    successful_stocks = told.successful,
    failed_stocks = told.failed,
    skipped_stocks = told.skipped,
    stocks_per_second = (told.successful + told.failed + told.skipped) / nullif(timed.seconds, 0),
    error_summary = told.error_summary
FROM sync_job_counts AS told, timed
WHERE sync_jobs.job_id = %(job_id)s AND told.job_id = sync_jobs.job_id
