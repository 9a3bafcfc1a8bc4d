-- Symbols that were being fetched when their process ended are to be asked again.
UPDATE sync_stock_results
SET status = 'pending', started_at = NULL
WHERE job_id = %(job_id)s AND status = 'in_progress'
