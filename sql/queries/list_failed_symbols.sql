-- Active stocks whose latest outcome, in whichever sync of chains, is a failure: also one that is being asked again, as
-- the process that asks may be gone. In the order in which they are asked.
SELECT sync_order.symbol
FROM sync_order
CROSS JOIN LATERAL (
    SELECT result.status
    FROM sync_stock_results AS result
    JOIN sync_jobs USING (job_id)
    WHERE result.symbol = sync_order.symbol AND result.completed_at IS NOT NULL AND NOT prices_only
    ORDER BY result.completed_at DESC, job_id DESC
    LIMIT 1
) AS latest
WHERE latest.status IN ('failed', 'in_progress')
ORDER BY priority, market_cap DESC NULLS LAST, sync_order.symbol
