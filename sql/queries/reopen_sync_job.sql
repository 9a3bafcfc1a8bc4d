-- Takes up a job that died or was cancelled: who asked for its end then does not mean it now. A job that died told no
-- duration: it worked until its last result.
UPDATE sync_jobs
SET status = 'running',
    run_id = %(run_id)s,
    completed_at = NULL,
    cancel_requested_at = NULL,
    died_at = NULL,
    resumed_at = %(now)s,
    duration_seconds = coalesce(
        duration_seconds,
        (SELECT greatest(extract(epoch FROM max(completed_at) - sync_jobs.started_at), 0)
         FROM sync_stock_results
         WHERE job_id = sync_jobs.job_id),
        0
    )
WHERE job_id = %(job_id)s
