-- Drops a stock's contracts of some expirations, and those that have expired.
DELETE FROM robinhood_contracts
WHERE symbol = %(symbol)s
    AND (expiration_date = ANY(%(expirations)s::date[]) OR expiration_date < %(expired_before)s)
