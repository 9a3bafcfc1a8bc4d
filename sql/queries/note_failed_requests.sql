-- Notes a vendor's failed requests: 20 in a row open its breaker, and so does a failed probe. Failures of requests that
-- were on their way when it opened do not hold up the probe. opened: whether these did it.
UPDATE api_rate_limits
SET consecutive_failures = consecutive_failures + %(requests)s::integer,
    circuit_state = CASE
        WHEN %(probe)s::boolean OR (circuit_state = 'closed' AND consecutive_failures + %(requests)s >= 20) THEN 'open'
        ELSE circuit_state
    END,
    circuit_opened_at = CASE
        WHEN %(probe)s OR (circuit_state = 'closed' AND consecutive_failures + %(requests)s >= 20)
        THEN greatest(updated_at, coalesce(%(now)s::timestamptz, clock_timestamp()))
        ELSE circuit_opened_at
    END,
    probe_until = CASE WHEN NOT %(probe)s THEN probe_until END,
    last_error = %(reason)s::text,
    last_error_at = coalesce(%(now)s, clock_timestamp()),
    updated_at = greatest(updated_at, coalesce(%(now)s, clock_timestamp()))
WHERE provider = %(provider)s::text
RETURNING circuit_state = 'open' AND (%(probe)s OR consecutive_failures - %(requests)s < 20) AS opened
