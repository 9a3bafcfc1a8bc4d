-- What a job brought and cost: rows of option_chains, requests, its time at work, providers it did not ask to the end.
SELECT coalesce(sum(options_inserted), 0)::bigint AS contracts_stored,
       coalesce(sum(requests), 0)::bigint AS requests,
       duration_seconds,
       left_out
FROM sync_jobs
LEFT JOIN sync_stock_results USING (job_id)
WHERE job_id = %(job_id)s
GROUP BY job_id
