-- The symbols of a job that are being asked for, the longest under way first.
SELECT symbol, greatest(0, extract(epoch FROM %(now)s - started_at))::double precision AS seconds
FROM sync_stock_results
WHERE job_id = %(job_id)s AND status = 'in_progress'
ORDER BY started_at, symbol
