-- Active stocks whose latest outcome, in whichever job, is a failure.
SELECT stocks.symbol
FROM stocks
CROSS JOIN LATERAL (
    SELECT status
    FROM sync_stock_results AS result
    WHERE result.symbol = stocks.symbol AND completed_at IS NOT NULL
    ORDER BY completed_at DESC, job_id DESC
    LIMIT 1
) AS latest
WHERE is_active AND latest.status = 'failed'
ORDER BY market_cap DESC NULLS LAST, stocks.symbol
