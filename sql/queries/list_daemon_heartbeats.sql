-- When each of Dagster's daemons last said that it lives. A table of Dagster 1.13: its column `timestamp` has no zone,
-- so the seconds since 1970 are taken from the object that it keeps.
SELECT daemon_type,
       extract(epoch FROM now())::double precision - (body::jsonb ->> 'timestamp')::double precision AS age_seconds
FROM daemon_heartbeats
