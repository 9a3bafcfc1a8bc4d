-- Keeps contracts with Robinhood's ids; of a symbol that is no stock of ours, none.
INSERT INTO robinhood_contracts (contract_id, symbol, expiration_date, strike_price, option_type, listed_at)
SELECT listed.*
FROM (VALUES %s) AS listed (contract_id, symbol, expiration_date, strike_price, option_type, listed_at)
JOIN stocks USING (symbol)
ON CONFLICT (contract_id) DO UPDATE SET
    symbol = excluded.symbol,
    expiration_date = excluded.expiration_date,
    strike_price = excluded.strike_price,
    option_type = excluded.option_type,
    listed_at = excluded.listed_at
