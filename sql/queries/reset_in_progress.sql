-- Symbols that were being fetched when their process ended are to be asked again: those that had failed before are as
-- they were, with their reasons, the others undone.
UPDATE sync_stock_results
SET status = CASE WHEN completed_at IS NULL THEN 'pending' ELSE 'failed' END,
    started_at = completed_at - duration_ms * interval '1 millisecond'
WHERE job_id = %(job_id)s AND status = 'in_progress'
