-- Asks for stocks to be refreshed; one that waits already waits on.
INSERT INTO refresh_requests (symbol, requested_at, requested_by)
SELECT symbol, %(now)s, %(requested_by)s
FROM unnest(%(symbols)s::text[]) AS asked (symbol)
ON CONFLICT (symbol) WHERE claimed_at IS NULL DO NOTHING
