-- The newest job that nobody works on, with symbols that it left undone or failed and that no later job has done. A
-- later sync of chains has the price too, not the other way round. Runs of a single partition are the web UI's affair,
-- and a stock that left the universe is not asked any more.
SELECT job_id
FROM sync_jobs
WHERE (sync_type <> 'partition' OR total_stocks > 1)
  AND EXISTS (
      SELECT FROM sync_stock_results AS result
      JOIN stocks USING (symbol)
      WHERE result.job_id = sync_jobs.job_id
        AND result.status IN ('failed', 'pending', 'in_progress')
        AND is_active
        AND NOT EXISTS (
            SELECT FROM sync_stock_results AS later
            JOIN sync_jobs AS later_job USING (job_id)
            WHERE later.symbol = result.symbol
              AND later.job_id > result.job_id
              AND later.status IN ('success', 'skipped')
              AND later_job.prices_only <= sync_jobs.prices_only
        )
  )
  AND NOT EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(lock_class)s::oid
        AND objid = sync_jobs.job_id::oid
        AND objsubid = 2
        AND granted
  )
ORDER BY job_id DESC
LIMIT 1
