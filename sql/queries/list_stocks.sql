-- The universe with what is known of each stock, the largest first.
SELECT stocks.symbol, company_name, sector, industry, market_cap, is_active, has_options, added_at,
       inactive_reason, inactive_since,
       stock_data.current_price, stock_data.quoted_at, stock_data.data_provider
FROM stocks
LEFT JOIN stock_data USING (symbol)
ORDER BY market_cap DESC NULLS LAST, stocks.symbol
