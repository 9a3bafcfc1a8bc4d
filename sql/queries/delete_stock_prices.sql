-- Makes room for newer bars of the same sessions.
DELETE FROM stock_prices
USING unnest(%(symbols)s::text[], %(dates)s::date[]) AS newer (symbol, price_date)
WHERE stock_prices.symbol = newer.symbol
  AND stock_prices.price_date = newer.price_date
