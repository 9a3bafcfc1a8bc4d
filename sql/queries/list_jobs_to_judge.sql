-- Jobs that the alert rules are to look at, with their figures: ended since they last looked (and since %(since)s), or
-- at work for longer than %(limit_seconds)s; and the newest of all, which breakers and logins are told with.
-- failed_calls: tries that failed (each retry had one before it), without a vendor's sound answer that there is nothing.
WITH jobs AS (
    SELECT *,
           status <> 'running' AND completed_at >= %(since)s AND alerts_saw IS DISTINCT FROM completed_at AS has_ended,
           status = 'running' AND %(limit_seconds)s < coalesce(duration_seconds, 0)
               + extract(epoch FROM %(now)s - coalesce(resumed_at, started_at)) AS is_late
    FROM sync_jobs
), chosen AS (
    SELECT * FROM jobs WHERE has_ended OR is_late OR job_id = (SELECT max(job_id) FROM sync_jobs)
)
SELECT chosen.job_id, sync_type, prices_only, chosen.status, resumed_at, completed_at, has_ended, is_late, reask_rounds,
       CASE WHEN chosen.status = 'running'
            THEN coalesce(duration_seconds, 0) + extract(epoch FROM %(now)s - coalesce(resumed_at, started_at))
            ELSE coalesce(duration_seconds, 0)
       END::double precision AS seconds,
       counted.*, calls.*, failures.*
FROM chosen
CROSS JOIN LATERAL (
    SELECT count(*) AS total,
           count(*) FILTER (WHERE status = 'success') AS ok,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'failed' AND completed_at >= chosen.reask_done_at) AS failed_in_last_round,
           count(*) FILTER (WHERE status = 'skipped') AS skipped,
           coalesce(sum(requests), 0)::bigint AS requests,
           coalesce(sum(retry_count), 0)::bigint AS retries,
           count(*) FILTER (WHERE status = 'success' OR error_type = 'db_error') AS written,
           count(*) FILTER (WHERE error_type = 'db_error' OR EXISTS (
               SELECT FROM rejected_quotes AS refused
               WHERE refused.job_id = chosen.job_id AND refused.symbol = result.symbol AND refused.rule = %(refused)s
           )) AS unwritten
    FROM sync_stock_results AS result
    WHERE result.job_id = chosen.job_id
) AS counted
CROSS JOIN LATERAL (
    WITH attempts AS (
        SELECT symbol, attempt ->> 'provider' AS provider, attempt ->> 'error_type' AS error_type,
               (attempt ->> 'requests')::bigint AS requests,
               attempt ->> 'error_type' IS NOT NULL
                   AND (attempt ->> 'requests')::bigint > 0
                   AND attempt ->> 'error_type' NOT IN ('no_options', 'delisted', 'stale_data', 'circuit_open')
                   AS has_failed
        FROM sync_stock_results AS result
        CROSS JOIN LATERAL jsonb_array_elements(attempts) AS attempt
        WHERE result.job_id = chosen.job_id
    )
    SELECT (SELECT count(*) FROM attempts WHERE has_failed) AS last_failures,
           (SELECT coalesce(jsonb_object_agg(provider, sum ORDER BY sum DESC), '{}'::jsonb)
            FROM (SELECT provider, sum(requests) FROM attempts GROUP BY provider) AS by_provider)
               AS requests_by_provider,
           (SELECT coalesce(jsonb_agg(to_jsonb(top)), '[]'::jsonb)
            FROM (SELECT provider || ' ' || error_type AS error, count(DISTINCT symbol) AS count,
                         (array_agg(DISTINCT symbol))[:3] AS symbols
                  FROM attempts WHERE has_failed GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5) AS top) AS call_errors
) AS calls
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(top)), '[]'::jsonb) AS symbol_errors
    FROM (SELECT coalesce(error_type, 'unknown') AS error, count(*) AS count,
                 (array_agg(symbol ORDER BY symbol))[:3] AS symbols
          FROM sync_stock_results AS result
          WHERE result.job_id = chosen.job_id AND status = 'failed'
          GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5) AS top
) AS failures
ORDER BY completed_at NULLS LAST, chosen.job_id
