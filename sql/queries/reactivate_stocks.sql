-- Brings stocks back into the universe. What providers said of them before is forgotten: the next sync asks.
UPDATE stocks
SET is_active = true,
    inactive_reason = NULL,
    inactive_since = NULL,
    answer = NULL,
    answered_at = NULL,
    no_options_since = NULL,
    delisted_since = NULL
WHERE symbol = ANY(%(symbols)s) AND NOT is_active AND (%(retired_too)s OR inactive_reason = 'removed')
