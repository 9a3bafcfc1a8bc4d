-- How much was told since a time, and since when what waits has waited.
SELECT (SELECT count(*)
        FROM alerts_sent CROSS JOIN LATERAL (VALUES (delivered_at), (resolution_delivered_at)) AS told (told_at)
        WHERE told_at > %(since)s) AS told,
       (SELECT min(coalesce(resolved_at, opened_at))
        FROM alerts_sent
        WHERE delivery_attempts < %(max_attempts)s
          AND (delivered_at IS NULL OR (resolution IS NOT NULL AND resolution_delivered_at IS NULL))) AS waiting_since
