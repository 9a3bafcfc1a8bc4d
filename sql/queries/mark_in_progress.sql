-- Symbols that are being fetched. One that has its result already stays what it is; one that failed before its running
-- job was taken up again has none yet, and keeps completed_at and its reasons until it has.
UPDATE sync_stock_results AS result
SET status = 'in_progress', started_at = %(now)s
FROM sync_jobs AS job
WHERE result.job_id = %(job_id)s
  AND job.job_id = result.job_id
  AND symbol = ANY(%(symbols)s)
  AND (
      result.status = 'pending'
      OR (result.status = 'failed' AND job.status = 'running' AND result.completed_at < job.resumed_at)
  )
