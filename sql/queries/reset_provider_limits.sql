-- Forgets what a vendor's failures and 429s led to. Tokens reserved ahead stay reserved, since they will be used, and
-- what it was asked within the hour stays counted, since the vendor counts it too.
UPDATE api_rate_limits
SET current_requests_per_minute = max_requests_per_minute,
    burst_left = 0,
    paused_until = NULL,
    backoff_seconds = 1,
    good_replies = 0,
    circuit_state = 'closed',
    consecutive_failures = 0,
    circuit_opened_at = NULL,
    probe_until = NULL,
    updated_at = greatest(updated_at, coalesce(%(now)s::timestamptz, clock_timestamp()))
WHERE provider = %(provider)s
