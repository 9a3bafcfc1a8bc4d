-- Failed symbols of ended bulk syncs of chains whose next round is due, the newest job first. Not those that a later
-- sync has asked or is about to ask. 'stale' syncs come every few minutes and ask by themselves.
SELECT job.job_id, job.target_dtes, job.reask_rounds, result.symbol
FROM sync_jobs AS job
JOIN sync_stock_results AS result USING (job_id)
WHERE job.sync_type NOT IN ('partition', 'stale')
  AND NOT job.prices_only
  AND job.status IN ('completed', 'failed')
  AND job.failed_stocks BETWEEN 1 AND %(max_failed)s
  AND job.reask_rounds < cardinality(%(waits)s::double precision[])
  AND job.completed_at >= %(not_before)s
  AND greatest(job.completed_at, job.reask_done_at)
      <= %(now)s - (%(waits)s::double precision[])[job.reask_rounds + 1] * interval '1 second'
  AND result.status = 'failed'
  AND NOT EXISTS (
      SELECT FROM sync_stock_results AS later
      JOIN sync_jobs AS later_job USING (job_id)
      WHERE later.symbol = result.symbol AND later.job_id > job.job_id AND NOT later_job.prices_only
        AND (later.status IN ('success', 'skipped', 'failed') OR later_job.status = 'running')
  )
ORDER BY job.job_id DESC, result.symbol
