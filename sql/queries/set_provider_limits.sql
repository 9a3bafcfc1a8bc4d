-- Changes a vendor's limits for all processes at once; null leaves one as it is. A reduced rate stays reduced.
UPDATE api_rate_limits
SET max_requests_per_minute = coalesce(%(per_minute)s, max_requests_per_minute),
    max_requests_per_hour = coalesce(%(per_hour)s, max_requests_per_hour),
    current_requests_per_minute = CASE
        WHEN current_requests_per_minute >= max_requests_per_minute
        THEN coalesce(%(per_minute)s, max_requests_per_minute)
        ELSE least(current_requests_per_minute, coalesce(%(per_minute)s, max_requests_per_minute))
    END
WHERE provider = %(provider)s
