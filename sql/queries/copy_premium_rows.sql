-- Every sellable contract as CSV, as far as the premium schema judges it. NULL is empty, an empty text is quoted.
COPY (
    SELECT symbol, expiration_date, strike_price, option_type, contract_symbol, dte, underlying_price, bid, ask,
           premium, delta, implied_volatility, greeks_source, volume, open_interest, spread_pct, break_even,
           collateral, monthly_return, annual_return, probability_of_profit, quoted_at, data_provider
      FROM stock_premiums
) TO STDOUT (FORMAT csv, HEADER)
