-- Open incidents; left_failed: how many symbols that failed in its job no sync has done since, removed stocks aside.
SELECT alert_id, rule, incident, job_id, opened_at, title, (
    SELECT count(*)
    FROM sync_stock_results AS result
    JOIN stocks ON stocks.symbol = result.symbol AND stocks.is_active
    WHERE result.job_id = alerts_sent.job_id AND result.status = 'failed'
      AND NOT EXISTS (
          SELECT FROM sync_stock_results AS later
          WHERE later.symbol = result.symbol AND later.job_id > result.job_id AND later.status IN ('success', 'skipped')
      )
) AS left_failed
FROM alerts_sent
WHERE resolved_at IS NULL
