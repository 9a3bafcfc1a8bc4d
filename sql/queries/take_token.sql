-- Takes the soonest token among some vendors: whose it is, and in how many seconds its request may go out. One row,
-- also where there is none to take. Times are seconds from now. storage.provider_limits tells the rules.
WITH locked AS MATERIALIZED (
    SELECT *
    FROM api_rate_limits
    WHERE provider = ANY (%(providers)s::text[])
    ORDER BY provider -- one order for everybody: no deadlock
    FOR UPDATE
),
clock AS MATERIALIZED (
    -- Read when the last row is locked: whoever waited for a lock reads a later time than the lock's holder did.
    SELECT coalesce(%(now)s::timestamptz, max(clock_timestamp())) AS now,
           count(*) AS known_providers,
           max(updated_at) AS seen_at
    FROM locked
),
paced AS MATERIALIZED (
    SELECT locked.*,
           60 * 1.02::double precision / current_requests_per_minute AS spacing,
           least(greatest(floor(current_requests_per_minute / 10), 1), 10) AS burst,
           extract(epoch FROM next_token_at - now)::double precision AS ahead,
           burst_left > 0 AND burst_until > now AS may_burst,
           greatest(extract(epoch FROM paused_until - now)::double precision, 0) AS pause,
           CASE circuit_state
               WHEN 'open' THEN greatest(extract(epoch FROM circuit_opened_at - now)::double precision + 60, 0)
               WHEN 'half_open' THEN CASE
                   WHEN %(probe)s::boolean THEN 0
                   ELSE greatest(extract(epoch FROM probe_until - now)::double precision, 0)
               END
               ELSE 0
           END AS blocked
    FROM locked CROSS JOIN clock
),
-- A burst is earned by being idle before (burst_after) and paid for by waiting afterwards (ahead grows all the same).
reserved AS (
    SELECT paced.*,
           greatest(ahead, 0) + spacing AS ahead_after,
           CASE
               WHEN ahead <= 0 THEN least(burst - 1, floor(-ahead / spacing))
               WHEN may_burst THEN burst_left - 1
               ELSE 0
           END::integer AS burst_after,
           greatest(CASE WHEN may_burst THEN 0 ELSE ahead END, pause) AS unhurried
    FROM paced
),
-- A minute is full while the requests of the 60 minutes before it and its own make up the hour's limit.
minutes AS (
    SELECT reserved.*,
           greatest(floor((extract(epoch FROM now) + unhurried) / 60)::bigint - hour_minute, 0)::integer AS wanted_minute
    FROM reserved CROSS JOIN clock
),
timed AS MATERIALIZED (
    SELECT minutes.*, greatest(unhurried, minute_begins) AS wait, token_minute
    FROM minutes CROSS JOIN clock
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN wanted_minute > 60 THEN wanted_minute
            WHEN (SELECT sum(requests) FROM unnest(hour_counts[wanted_minute + 1:61]) AS requests)
                 < max_requests_per_hour THEN wanted_minute
            ELSE (
                SELECT min(later)
                FROM generate_series(wanted_minute + 1, 61) AS later
                WHERE (SELECT coalesce(sum(requests), 0) FROM unnest(hour_counts[later + 1:61]) AS requests)
                      < max_requests_per_hour
            )
        END AS token_minute
        OFFSET 0
    ) AS room
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN token_minute > wanted_minute
            THEN 60 * (hour_minute + token_minute) - extract(epoch FROM now)::double precision
            ELSE 0
        END AS minute_begins
        OFFSET 0
    ) AS begins
),
chosen AS MATERIALIZED (
    SELECT timed.*, now, circuit_state <> 'closed' AS is_probe, wait > unhurried OR pause > 0 AS was_put_off
    FROM timed CROSS JOIN clock
    WHERE blocked = 0
    -- Of tokens that are as good as here the first vendor's: a few milliseconds are no reason to ask another.
    ORDER BY CASE WHEN %(spillover)s::boolean AND wait > 0.05 THEN wait ELSE 0 END,
             array_position(%(providers)s::text[], provider)
    LIMIT 1
),
taken AS (
    UPDATE api_rate_limits AS stored
    SET next_token_at = now + greatest(ahead_after, CASE WHEN was_put_off THEN wait + spacing ELSE 0 END)
                              * interval '1 second',
        burst_left = CASE WHEN was_put_off THEN 0 ELSE burst_after END,
        burst_until = CASE WHEN ahead <= 0 THEN now + burst * spacing * interval '1 second' ELSE chosen.burst_until END,
        hour_counts = CASE
            WHEN token_minute = 0 THEN chosen.hour_counts[1:60] || chosen.hour_counts[61] + 1
            ELSE chosen.hour_counts[least(token_minute, 61) + 1:61]
                 || array_fill(0, ARRAY[least(token_minute, 61)::integer - 1])
                 || 1
        END,
        hour_minute = chosen.hour_minute + token_minute,
        circuit_state = CASE WHEN is_probe THEN 'half_open' ELSE chosen.circuit_state END,
        probe_until = CASE WHEN is_probe THEN now + (wait + 60) * interval '1 second' ELSE chosen.probe_until END,
        total_requests = chosen.total_requests + 1,
        updated_at = now
    FROM chosen
    WHERE stored.provider = chosen.provider
      AND wait <= %(max_wait_seconds)s::double precision
      AND now >= (SELECT seen_at FROM clock)
    RETURNING 1
)
SELECT known_providers,
       coalesce(clock.now < seen_at, false) AS clock_went_back,
       chosen.provider,
       coalesce(wait, (SELECT min(blocked) FROM paced), 0) AS wait_seconds,
       EXISTS (SELECT FROM taken) AS taken,
       coalesce(is_probe, false) AS is_probe,
       coalesce(least(pause, wait), 0) AS paused_seconds,
       coalesce(consecutive_failures, 0) AS consecutive_failures
FROM clock LEFT JOIN chosen ON true
