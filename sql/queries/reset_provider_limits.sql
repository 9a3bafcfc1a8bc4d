-- Forgets what a vendor's failures and 429s led to, and the tokens reserved ahead. What it was asked within the hour
-- stays counted, since the vendor counts it too: the oldest minutes aside, as many as tokens were reserved ahead.
UPDATE api_rate_limits
SET current_requests_per_minute = max_requests_per_minute,
    next_token_at = least(next_token_at, greatest(updated_at, coalesce(%(now)s::timestamptz, clock_timestamp()))),
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
