-- Keeps what Robinhood said of a stock's chain; of a symbol that is no stock of ours, nothing.
INSERT INTO robinhood_chains (symbol, instrument_id, chain_id, chain_symbol, expirations, listed_at)
SELECT symbol, %(instrument_id)s, %(chain_id)s, %(chain_symbol)s, %(expirations)s::date[], %(listed_at)s
FROM stocks
WHERE symbol = %(symbol)s
ON CONFLICT (symbol) DO UPDATE SET
    instrument_id = excluded.instrument_id,
    chain_id = excluded.chain_id,
    chain_symbol = excluded.chain_symbol,
    expirations = excluded.expirations,
    listed_at = excluded.listed_at
