-- The latest incidents, the open ones first.
SELECT alert_id, rule, incident, job_id, opened_at, resolved_at, title, body, resolution, delivered_at,
       resolution_delivered_at, delivery_attempts, delivery_error
FROM alerts_sent
ORDER BY resolved_at IS NULL DESC, opened_at DESC, alert_id DESC
LIMIT %(limit)s
