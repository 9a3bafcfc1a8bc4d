-- Notes a vendor's 429: nobody asks it for a while, and its rate is halved. Another one within the pause is of the same
-- incident, since many requests were on their way: it can only lengthen the pause, and is not a new one.
UPDATE api_rate_limits AS stored
SET rate_limited_count = rate_limited_count + 1,
    paused_until = CASE
        WHEN coalesce(paused_until > moment, false)
        THEN greatest(paused_until, moment + %(retry_after_seconds)s::double precision * interval '1 second')
        ELSE moment + coalesce(%(retry_after_seconds)s, backoff_seconds) * interval '1 second'
    END,
    current_requests_per_minute = CASE
        WHEN coalesce(paused_until > moment, false) THEN current_requests_per_minute
        ELSE greatest(current_requests_per_minute / 2, 1)
    END,
    backoff_seconds = CASE
        WHEN coalesce(paused_until > moment, false) OR %(retry_after_seconds)s IS NOT NULL THEN backoff_seconds
        ELSE least(backoff_seconds * 2, 300)
    END,
    good_replies = 0,
    updated_at = moment
FROM (
    SELECT provider AS noted_provider,
           greatest(updated_at, coalesce(%(now)s::timestamptz, clock_timestamp())) AS moment,
           paused_until AS paused_before
    FROM api_rate_limits
    WHERE provider = %(provider)s::text
    FOR UPDATE
) AS noted
WHERE provider = noted_provider
RETURNING NOT coalesce(paused_before > moment, false) AS is_new,
          extract(epoch FROM paused_until - moment)::double precision AS paused_seconds
