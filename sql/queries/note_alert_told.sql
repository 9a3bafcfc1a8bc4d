-- Notes that a message was taken. What else there is to tell of the incident begins with fresh tries.
UPDATE alerts_sent
SET delivered_at = CASE WHEN %(opening)s THEN %(now)s ELSE delivered_at END,
    resolution_delivered_at = CASE WHEN %(resolution)s THEN %(now)s ELSE resolution_delivered_at END,
    delivery_attempts = 0,
    next_attempt_at = NULL,
    taken_by = '{}',
    delivery_error = %(error)s
WHERE alert_id = %(alert_id)s
