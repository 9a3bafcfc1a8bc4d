-- Whether a vendor is neither paused nor behind an open breaker now. A probe's own token is good behind its breaker.
SELECT coalesce(paused_until <= greatest(updated_at, coalesce(%(now)s::timestamptz, clock_timestamp())), true)
       AND (circuit_state = 'closed' OR (circuit_state = 'half_open' AND %(probe)s::boolean)) AS is_good
FROM api_rate_limits
WHERE provider = %(provider)s::text
