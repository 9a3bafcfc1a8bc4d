-- Takes out of the universe what is known to have no options: said to be delisted, and said again at least 7 days later;
-- or without a chain for 30 days, which the latest answer, one that is still believed, says too.
UPDATE stocks
SET is_active = false,
    inactive_since = %(now)s,
    inactive_reason = CASE
        WHEN delisted_since <= answered_at - %(delisted_for)s THEN 'delisted' ELSE 'no options for 30 days'
    END
WHERE is_active
  AND answer IS NOT NULL
  AND (
      delisted_since <= answered_at - %(delisted_for)s
      OR (no_options_since <= %(now)s - %(no_options_for)s AND answered_at >= %(believed_since)s)
  )
RETURNING symbol, inactive_reason
