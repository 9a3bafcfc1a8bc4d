-- The contracts of some expirations of a stock that Robinhood listed, with its ids.
SELECT contract_id, expiration_date, strike_price, option_type, listed_at
FROM robinhood_contracts
WHERE symbol = %(symbol)s AND expiration_date = ANY(%(expirations)s::date[])
ORDER BY expiration_date, strike_price, option_type
