-- The price of each symbol of a job beside its latest 21 final closes before that session: the latest close, and of the
-- 20 daily returns between them how many there are, their mean and their standard deviation (fractions). Closes of more
-- than 45 days ago are left out: with many sessions missing a return is no daily one.
WITH priced AS (
    SELECT symbol, data_provider, current_price, quoted_at, price_doubt, price_note,
           (quoted_at AT TIME ZONE 'America/New_York')::date AS day
    FROM sync_stock_results
    WHERE job_id = %(job_id)s AND status = 'success' AND current_price > 0
), closes AS (
    SELECT priced.symbol, bar.price_date, bar.close,
           bar.close / lag(bar.close) OVER (PARTITION BY priced.symbol ORDER BY bar.price_date) - 1 AS daily_return
    FROM priced
    CROSS JOIN LATERAL (
        SELECT price_date, close
        FROM stock_prices
        WHERE stock_prices.symbol = priced.symbol
          AND is_final
          AND price_date < day
          AND price_date >= day - 45
        ORDER BY price_date DESC
        LIMIT 21
    ) AS bar
), measured AS (
    SELECT symbol,
           count(daily_return) AS returns,
           avg(daily_return) AS mean_return,
           stddev_samp(daily_return) AS deviation,
           (array_agg(close ORDER BY price_date DESC))[1] AS last_close
    FROM closes
    GROUP BY symbol
)
SELECT symbol, data_provider, current_price, quoted_at, last_close, coalesce(returns, 0) AS returns, mean_return,
       deviation, price_doubt, price_note
FROM priced
LEFT JOIN measured USING (symbol)
ORDER BY symbol
