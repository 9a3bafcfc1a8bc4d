-- Symbols that living syncs are asking for, or have still to ask: those of jobs whose lock is held that are not done,
-- and those that failed before the job was taken up again, or that an ended job asks again.
SELECT DISTINCT result.symbol
FROM sync_stock_results AS result
JOIN sync_jobs USING (job_id)
WHERE sync_jobs.job_id IN (
      SELECT objid::bigint
      FROM pg_locks
      WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(lock_class)s::oid
        AND objsubid = 2
        AND granted
  )
  AND (
      result.status IN ('pending', 'in_progress')
      OR (
          result.status = 'failed'
          AND (sync_jobs.status <> 'running' OR coalesce(result.completed_at < sync_jobs.resumed_at, false))
      )
  )
