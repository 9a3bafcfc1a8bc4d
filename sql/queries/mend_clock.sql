-- After the server's clock was set back: sets every limit's times back by the same span, so that nobody waits for it.
UPDATE api_rate_limits
SET next_token_at = next_token_at - (updated_at - now),
    burst_until = burst_until - (updated_at - now),
    paused_until = paused_until - (updated_at - now),
    circuit_opened_at = circuit_opened_at - (updated_at - now),
    probe_until = probe_until - (updated_at - now),
    hour_minute = hour_minute - floor(extract(epoch FROM updated_at - now) / 60)::bigint,
    updated_at = now
FROM (SELECT coalesce(%(now)s::timestamptz, clock_timestamp()) AS now OFFSET 0) AS clock
WHERE updated_at > now
