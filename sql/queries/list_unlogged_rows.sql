-- Symbols of which the tables hold another number of rows than the sync that wrote them says. Rows and results are written
-- in one transaction and read here in one statement, so that a sync under way is no mismatch.
WITH logged AS (
    SELECT DISTINCT ON (symbol) symbol, job_id, options_inserted, premiums_inserted
    FROM sync_stock_results
    JOIN sync_jobs USING (job_id)
    WHERE sync_stock_results.status = 'success' AND NOT prices_only
    ORDER BY symbol, sync_stock_results.completed_at DESC, job_id DESC
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
