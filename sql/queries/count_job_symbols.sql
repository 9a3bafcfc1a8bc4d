-- What became of a job's symbols, and how many contracts the vendors' replies held.
SELECT status, count(*) AS symbols, coalesce(sum(options_fetched), 0)::bigint AS contracts
  FROM sync_stock_results
 WHERE job_id = %(job_id)s
 GROUP BY status
