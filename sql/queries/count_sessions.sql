-- The sessions of our processes on this database by what they do, this one aside; and how many the server takes at all.
SELECT coalesce(state, 'other') AS state,
       count(*) AS sessions,
       current_setting('max_connections')::integer AS most
FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'optsync' AND pid <> pg_backend_pid()
GROUP BY 1
ORDER BY 1
