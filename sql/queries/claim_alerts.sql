-- Takes what is to be told, and is not waiting, for one process: nobody else takes it before next_attempt_at, which is
-- the time to try again too, should this try fail: 1, 2, 4, 8, 16 minutes later.
-- What was tried for the last time is given up.
UPDATE alerts_sent
SET delivery_attempts = delivery_attempts + 1,
    next_attempt_at = %(now)s + interval '1 minute' * 2 ^ delivery_attempts
WHERE alert_id IN (
    SELECT alert_id
    FROM alerts_sent
    WHERE delivery_attempts < %(max_attempts)s
      AND (next_attempt_at IS NULL OR next_attempt_at <= %(now)s)
      AND (delivered_at IS NULL OR (resolution IS NOT NULL AND resolution_delivered_at IS NULL))
    ORDER BY alert_id
    FOR UPDATE SKIP LOCKED
)
RETURNING alert_id, rule, title, body, resolution, delivered_at, taken_by, delivery_attempts, opened_at, resolved_at
