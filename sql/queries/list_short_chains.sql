-- The symbols of a job whose chain lacked what its vendor gave before, and what asking once more found.
SELECT symbol, chain_doubt AS doubt, chain_note AS note
FROM sync_stock_results
WHERE job_id = %(job_id)s AND chain_doubt IS NOT NULL
ORDER BY symbol
