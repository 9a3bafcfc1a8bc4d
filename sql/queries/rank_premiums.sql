-- The best contract of each active stock for one strategy, best first. What may be ranked: options/ranking.py.
-- One index probe a stock: the planner proves the predicate of stock_premiums_best_return from the delta limits, as
-- long as they lie within 0.15 to 0.5; with wider limits it reads the stock's rows by the primary key.
SELECT %(strategy)s AS strategy,
       row_number() OVER (ORDER BY monthly_return DESC, open_interest DESC, stocks.symbol) AS rank,
       stocks.symbol, contract_symbol, expiration_date, strike_price, option_type, dte, underlying_price, bid, ask,
       premium, collateral, break_even, monthly_return, annual_return, delta, implied_volatility,
       probability_of_profit, spread_pct, open_interest, quoted_at, data_provider,
       %(now)s::timestamptz AS ranked_at
FROM stocks
CROSS JOIN LATERAL (
    SELECT *
    FROM stock_premiums
    WHERE option_type = %(option_type)s
      AND stock_premiums.symbol = stocks.symbol
      AND abs(delta) BETWEEN %(min_abs_delta)s AND %(max_abs_delta)s
      AND spread_pct <= %(max_spread_pct)s
      AND open_interest >= %(min_open_interest)s
      AND quoted_at >= %(fresh_since)s
      AND expiration_date >= %(today)s
      AND CASE option_type
          WHEN 'put' THEN strike_price <= underlying_price * (1 - %(min_otm_pct)s / 100.0)
          ELSE strike_price >= underlying_price * (1 + %(min_otm_pct)s / 100.0)
      END
    ORDER BY monthly_return DESC, open_interest DESC, contract_symbol
    LIMIT 1
) AS best
WHERE is_active
ORDER BY rank
