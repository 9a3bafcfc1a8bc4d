-- Active stocks whose latest good answer (a chain, or that there is none) was asked for before a time or for other days
-- to expiration, or that have none; in the order in which they are asked. By the sync log and not by the quotes: the
-- last trade of a stock may be hours old when we have just asked, and its price newer than its chain.
SELECT sync_order.symbol
FROM sync_order
LEFT JOIN LATERAL (
    SELECT coalesce(result.started_at, result.completed_at) AS asked_at, target_dtes
    FROM sync_stock_results AS result
    JOIN sync_jobs USING (job_id)
    WHERE result.symbol = sync_order.symbol AND result.completed_at IS NOT NULL
      AND result.status IN ('success', 'skipped') AND NOT prices_only
    ORDER BY result.completed_at DESC, job_id DESC
    LIMIT 1
) AS latest ON true
WHERE (is_watched OR NOT %(watched_only)s)
  AND (asked_at IS NULL OR asked_at < %(since)s OR NOT target_dtes @> %(target_dtes)s::integer[])
ORDER BY priority, market_cap DESC NULLS LAST, sync_order.symbol
