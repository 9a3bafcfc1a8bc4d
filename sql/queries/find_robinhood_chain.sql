-- Robinhood's ids of a stock and its chain, and the expirations it listed.
SELECT instrument_id, chain_id, chain_symbol, expirations, listed_at
FROM robinhood_chains
WHERE symbol = %(symbol)s
