-- Rows of each table: counted where the table has at most 32 MB, which takes milliseconds, else PostgreSQL's own estimate.
SELECT class.relname AS table_name,
       CASE
           WHEN pg_relation_size(class.oid) > 33554432 THEN greatest(class.reltuples::bigint, stats.n_live_tup)
           ELSE CASE class.relname
               WHEN 'stocks' THEN (SELECT count(*) FROM stocks)
               WHEN 'stock_data' THEN (SELECT count(*) FROM stock_data)
               WHEN 'stock_prices' THEN (SELECT count(*) FROM stock_prices)
               WHEN 'option_chains' THEN (SELECT count(*) FROM option_chains)
               WHEN 'stock_premiums' THEN (SELECT count(*) FROM stock_premiums)
               WHEN 'premium_rankings' THEN (SELECT count(*) FROM premium_rankings)
               WHEN 'sync_jobs' THEN (SELECT count(*) FROM sync_jobs)
               WHEN 'sync_stock_results' THEN (SELECT count(*) FROM sync_stock_results)
               WHEN 'rejected_quotes' THEN (SELECT count(*) FROM rejected_quotes)
           END
       END AS rows,
       pg_total_relation_size(class.oid) AS bytes
FROM pg_class AS class
JOIN pg_stat_user_tables AS stats ON stats.relid = class.oid
WHERE class.oid IN (
    'stocks'::regclass, 'stock_data'::regclass, 'stock_prices'::regclass, 'option_chains'::regclass,
    'stock_premiums'::regclass, 'premium_rankings'::regclass, 'sync_jobs'::regclass,
    'sync_stock_results'::regclass, 'rejected_quotes'::regclass
)
ORDER BY table_name
