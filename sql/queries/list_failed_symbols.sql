-- Active stocks whose latest outcome, in whichever sync of chains, is a failure: also one that is being asked again, as
-- the process that asks may be gone.
SELECT stocks.symbol
FROM stocks
CROSS JOIN LATERAL (
    SELECT result.status
    FROM sync_stock_results AS result
    JOIN sync_jobs USING (job_id)
    WHERE result.symbol = stocks.symbol AND result.completed_at IS NOT NULL AND NOT prices_only
    ORDER BY result.completed_at DESC, job_id DESC
    LIMIT 1
) AS latest
WHERE is_active AND latest.status IN ('failed', 'in_progress')
ORDER BY market_cap DESC NULLS LAST, stocks.symbol
