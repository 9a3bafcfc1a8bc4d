-- Symbols of which the tables hold another number of rows than the sync that wrote them says. Rows and results are written
-- in one transaction and read here in one statement, so that a sync under way is no mismatch.
WITH logged AS (
    SELECT stocks.symbol, last.*
    FROM stocks
    CROSS JOIN LATERAL (
        SELECT job_id, options_inserted, premiums_inserted
        FROM sync_stock_results AS result
        JOIN sync_jobs USING (job_id)
        WHERE result.symbol = stocks.symbol AND result.status = 'success' AND NOT prices_only
        ORDER BY result.completed_at DESC, job_id DESC
        LIMIT 1
    ) AS last
), chains AS (
    SELECT symbol, count(*) AS rows FROM option_chains GROUP BY symbol
), premiums AS (
    SELECT symbol, count(*) AS rows FROM stock_premiums GROUP BY symbol
), compared AS (
    SELECT symbol, job_id,
           coalesce(options_inserted, 0) AS chains_logged, coalesce(chains.rows, 0) AS chains_there,
           coalesce(premiums_inserted, 0) AS premiums_logged, coalesce(premiums.rows, 0) AS premiums_there
    FROM logged
    FULL JOIN chains USING (symbol)
    FULL JOIN premiums USING (symbol)
)
SELECT *
FROM compared
WHERE chains_logged <> chains_there OR premiums_logged <> premiums_there
ORDER BY symbol
