-- Notes a vendor's good replies: a row of failures ends, a probe closes the breaker, 100 raise a reduced rate a step.
UPDATE api_rate_limits
SET consecutive_failures = CASE
        WHEN circuit_state = 'closed' OR %(probe)s::boolean THEN 0
        ELSE consecutive_failures
    END,
    circuit_state = CASE WHEN %(probe)s THEN 'closed' ELSE circuit_state END,
    circuit_opened_at = CASE WHEN NOT %(probe)s THEN circuit_opened_at END,
    probe_until = CASE WHEN NOT %(probe)s THEN probe_until END,
    current_requests_per_minute = CASE
        WHEN good_replies + %(replies)s::integer < 100 THEN current_requests_per_minute
        ELSE least(current_requests_per_minute + max_requests_per_minute / 10.0, max_requests_per_minute)
    END,
    backoff_seconds = CASE WHEN good_replies + %(replies)s < 100 THEN backoff_seconds ELSE 1 END,
    good_replies = CASE WHEN good_replies + %(replies)s < 100 THEN good_replies + %(replies)s ELSE 0 END,
    last_good_at = greatest(last_error_at, coalesce(%(now)s::timestamptz, clock_timestamp())),
    updated_at = greatest(updated_at, coalesce(%(now)s::timestamptz, clock_timestamp()))
WHERE provider = %(provider)s::text
