-- Takes stocks out of the universe by a person's wish; their rows stay.
UPDATE stocks
SET is_active = false, inactive_reason = 'removed', inactive_since = %(now)s
WHERE symbol = ANY(%(symbols)s) AND is_active
RETURNING symbol
