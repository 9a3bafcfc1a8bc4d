-- Of which of some stocks all these providers said lately that there is nothing to have, and what was said.
SELECT symbol, answer, answered_at
FROM stocks
WHERE symbol = ANY(%(symbols)s) AND answer IS NOT NULL AND answered_at >= %(since)s
  AND %(providers)s::text[] <@ coalesce(answered_by, '{}')
