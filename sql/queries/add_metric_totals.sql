-- Adds to the counters. In the order of their keys, so that two processes that add at once never wait for each other.
INSERT INTO metric_totals (metric, provider, kind, total)
SELECT metric, provider, kind, amount
FROM unnest(%(metrics)s::text[], %(providers)s::text[], %(kinds)s::text[], %(amounts)s::double precision[])
     AS added (metric, provider, kind, amount)
ORDER BY metric, provider, kind
ON CONFLICT (metric, provider, kind) DO UPDATE SET total = metric_totals.total + excluded.total
