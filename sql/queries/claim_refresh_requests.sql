-- Takes requests for active stocks upon the caller, the longest waiting first; two at once get different ones. A stock
-- that a sync is asking for at this moment waits for that answer; where one came since the request, nothing is left to
-- do. Merely pending in a running sync is no answer: it may be hours away.
WITH taken AS (
    SELECT request_id, symbol, requested_at
    FROM refresh_requests AS request
    WHERE claimed_at IS NULL
      AND symbol IN (SELECT symbol FROM stocks WHERE is_active)
      AND NOT EXISTS (
          SELECT FROM sync_stock_results AS result
          JOIN sync_jobs AS job USING (job_id)
          JOIN pg_locks ON locktype = 'advisory'
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND classid = %(lock_class)s::oid
              AND objid = job.job_id::oid
              AND objsubid = 2
              AND granted
          WHERE result.symbol = request.symbol AND NOT job.prices_only
            AND (result.status = 'in_progress' OR result.status = 'pending' AND job.sync_type = 'refresh')
      )
    ORDER BY requested_at, request_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE refresh_requests
    SET claimed_at = %(now)s
    FROM taken
    WHERE refresh_requests.request_id = taken.request_id
)
SELECT symbol
FROM taken
WHERE NOT EXISTS (
    SELECT FROM sync_stock_results AS result
    JOIN sync_jobs AS job USING (job_id)
    WHERE result.symbol = taken.symbol AND result.completed_at > taken.requested_at
      AND result.status IN ('success', 'skipped') AND NOT job.prices_only
)
GROUP BY symbol
ORDER BY min(requested_at), min(request_id)
