-- Each provider's share of a job: symbols that it was asked for (one that is passed over costs no time), those of which
-- its reply counts, its requests, and how often which error was its last word on a symbol.
WITH attempts AS (
    SELECT symbol, status, data_provider,
           attempt ->> 'provider' AS provider,
           attempt ->> 'error_type' AS error_type,
           (attempt ->> 'requests')::bigint AS requests,
           attempt ->> 'error_type' IS NULL OR (attempt ->> 'duration_ms')::float > 0 AS was_asked
    FROM sync_stock_results
    CROSS JOIN LATERAL jsonb_array_elements(attempts) AS attempt
    WHERE job_id = %(job_id)s
), faults AS (
    SELECT provider, jsonb_object_agg(error_type, attempts) AS errors
    FROM (
        SELECT provider, error_type, count(*) AS attempts
        FROM attempts
        WHERE error_type IS NOT NULL
        GROUP BY provider, error_type
    ) AS by_kind
    GROUP BY provider
)
SELECT provider,
       count(DISTINCT symbol) FILTER (WHERE was_asked) AS asked,
       count(DISTINCT symbol) FILTER (WHERE status = 'success' AND data_provider = provider) AS served,
       coalesce(sum(requests), 0)::bigint AS requests,
       coalesce(errors, '{}'::jsonb) AS errors
FROM attempts
LEFT JOIN faults USING (provider)
GROUP BY provider, errors
ORDER BY served DESC, provider
