-- Holds the chunk's stocks until its transaction ends, in one order for everybody: two syncs of the same symbols wait
-- for each other instead of deadlocking, or of both inserting what both deleted.
SELECT symbol
FROM stocks
WHERE symbol = ANY(%(symbols)s)
ORDER BY symbol
FOR NO KEY UPDATE
