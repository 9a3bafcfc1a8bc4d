-- Opens a sync; its symbols follow as pending results.
INSERT INTO sync_jobs (
    run_id, sync_type, status, started_at, total_stocks, concurrency_level, target_dtes, prices_only
)
VALUES (
    %(run_id)s, %(sync_type)s, 'running', %(now)s, %(total)s, %(concurrency_level)s, %(target_dtes)s::integer[],
    %(prices_only)s
)
RETURNING job_id
