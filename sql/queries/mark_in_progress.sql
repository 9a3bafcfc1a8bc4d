-- Symbols that are being fetched. One that has its result already, or an old one that failed, stays what it is.
UPDATE sync_stock_results
SET status = 'in_progress', started_at = %(now)s
WHERE job_id = %(job_id)s AND symbol = ANY(%(symbols)s) AND status = 'pending'
