-- Adds symbols to a job that it does not have yet.
INSERT INTO sync_stock_results (job_id, symbol, status)
SELECT %(job_id)s, symbol, 'pending'
FROM unnest(%(symbols)s::text[]) AS asked (symbol)
ON CONFLICT (job_id, symbol) DO NOTHING
