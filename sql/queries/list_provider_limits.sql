-- How each vendor stands now: limits, breaker, pause, and how long a new request would wait. Nothing is locked.
WITH paced AS (
    SELECT stored.*,
           moment,
           60 * 1.02::double precision / current_requests_per_minute AS spacing,
           greatest(extract(epoch FROM next_token_at - moment)::double precision, 0) AS ahead,
           greatest(extract(epoch FROM paused_until - moment)::double precision, 0) AS paused_seconds,
           CASE circuit_state
               WHEN 'open' THEN greatest(extract(epoch FROM circuit_opened_at - moment)::double precision + 60, 0)
               WHEN 'half_open' THEN greatest(extract(epoch FROM probe_until - moment)::double precision, 0)
           END AS probe_in_seconds,
           floor(extract(epoch FROM moment) / 60)::integer - hour_minute::integer AS this_minute
    FROM api_rate_limits AS stored
    CROSS JOIN LATERAL (
        SELECT greatest(updated_at, coalesce(%(now)s::timestamptz, clock_timestamp())) AS moment OFFSET 0
    ) AS clock
),
hourly AS (
    SELECT paced.*,
           coalesce((
               SELECT min(60 * (hour_minute + later) - extract(epoch FROM moment)::double precision)
               FROM generate_series(greatest(this_minute, 0), 61) AS later
               WHERE (SELECT coalesce(sum(requests), 0) FROM unnest(hour_counts[later + 1:61]) AS requests)
                     < max_requests_per_hour
           ), 0) AS hour_frees_in,
           (SELECT coalesce(sum(requests), 0)
            FROM unnest(hour_counts[greatest(this_minute, 0) + 1:61]) AS requests) AS asked_this_hour
    FROM paced
),
waiting AS (
    SELECT hourly.*,
           greatest(
               CASE WHEN burst_left > 0 AND burst_until > moment THEN 0 ELSE ahead END,
               paused_seconds, hour_frees_in, coalesce(probe_in_seconds, 0)
           ) AS next_token_seconds,
           greatest(max_requests_per_hour - asked_this_hour, 0)::integer AS left_this_hour
    FROM hourly
)
SELECT provider, max_requests_per_minute, max_requests_per_hour, current_requests_per_minute, circuit_state,
       consecutive_failures, circuit_opened_at, probe_in_seconds, paused_seconds, next_token_seconds,
       least(greatest(floor((60 - greatest(ahead, next_token_seconds)) / spacing) + 1, 0), left_this_hour)::integer
           AS left_this_minute,
       left_this_hour, total_requests, rate_limited_count, last_error, last_error_at, last_good_at, updated_at
FROM waiting
ORDER BY provider
