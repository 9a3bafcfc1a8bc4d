-- Counts an ended job again after some of its symbols were asked again. completed_at moves, so that a ranking follows.
-- A job of which nothing could be done is completed once something was, unless symbols of it were never asked.
UPDATE sync_jobs
SET status = CASE
        WHEN status = 'failed' AND told.successful + told.skipped > 0 AND told.unfinished = 0 THEN 'completed'
        ELSE status
    END,
    completed_at = CASE WHEN completed_at IS NULL THEN NULL ELSE %(now)s END,
    cancel_requested_at = CASE WHEN status = 'cancelled' THEN cancel_requested_at END,
    total_stocks = told.total,
    successful_stocks = told.successful,
    failed_stocks = told.failed,
    skipped_stocks = told.skipped,
    error_summary = told.error_summary
FROM sync_job_counts AS told
WHERE sync_jobs.job_id = %(job_id)s AND told.job_id = sync_jobs.job_id
