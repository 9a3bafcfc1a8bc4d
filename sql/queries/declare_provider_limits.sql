-- Writes the limits of a process that starts. A rate that 429s have reduced stays reduced.
INSERT INTO api_rate_limits AS stored (
    provider, max_requests_per_minute, max_requests_per_hour, current_requests_per_minute, updated_at
)
VALUES (
    %(provider)s, %(per_minute)s, %(per_hour)s, %(per_minute)s, coalesce(%(now)s::timestamptz, clock_timestamp())
)
ON CONFLICT (provider) DO UPDATE SET
    max_requests_per_minute = excluded.max_requests_per_minute,
    max_requests_per_hour = excluded.max_requests_per_hour,
    current_requests_per_minute = CASE
        WHEN stored.current_requests_per_minute >= stored.max_requests_per_minute
        THEN excluded.max_requests_per_minute
        ELSE least(stored.current_requests_per_minute, excluded.max_requests_per_minute)
    END
