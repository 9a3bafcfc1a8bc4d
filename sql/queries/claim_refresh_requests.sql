-- Takes the requests of some symbols upon the caller, the longest waiting first. Two at once get different ones.
WITH taken AS (
    SELECT request_id, symbol, requested_at
    FROM refresh_requests
    WHERE claimed_at IS NULL
    ORDER BY requested_at, request_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE refresh_requests
    SET claimed_at = %(now)s
    FROM taken
    WHERE refresh_requests.request_id = taken.request_id
)
SELECT symbol, min(requested_at) AS first_at
FROM taken
GROUP BY symbol
ORDER BY first_at, symbol
