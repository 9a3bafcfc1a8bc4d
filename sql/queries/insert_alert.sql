-- Writes an incident that is not open yet; one without an end (resolved at once) that was never written.
INSERT INTO alerts_sent (rule, incident, job_id, opened_at, resolved_at, title, body)
SELECT %(rule)s, %(incident)s, %(job_id)s, %(now)s, %(resolved_at)s, %(title)s, %(body)s
WHERE NOT EXISTS (
    SELECT FROM alerts_sent
    WHERE rule = %(rule)s AND incident = %(incident)s
      AND (resolved_at IS NULL OR %(resolved_at)s::timestamptz IS NOT NULL)
)
ON CONFLICT DO NOTHING
