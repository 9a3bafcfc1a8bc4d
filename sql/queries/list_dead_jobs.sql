-- Syncs of chains whose process died: those that are called running while nobody holds their lock, and those that a later
-- sync found dead at its start. Only with something left that no later sync has asked or is about to ask.
SELECT *
FROM sync_jobs AS job
WHERE NOT prices_only
  AND started_at >= %(not_before)s
  AND (status = 'running' OR died_at IS NOT NULL)
  AND NOT EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = %(lock_class)s::oid
        AND objid = job.job_id::oid
        AND objsubid = 2
        AND granted
  )
  AND EXISTS (
      SELECT FROM sync_stock_results AS result
      WHERE result.job_id = job.job_id AND result.status IN ('pending', 'in_progress')
        AND NOT EXISTS (
            SELECT FROM sync_stock_results AS later
            JOIN sync_jobs AS later_job USING (job_id)
            WHERE later.symbol = result.symbol AND later.job_id > job.job_id AND NOT later_job.prices_only
              AND (later.status IN ('success', 'skipped', 'failed') OR later_job.status = 'running')
        )
  )
ORDER BY job_id
