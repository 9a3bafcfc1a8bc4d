-- The stocks of a watchlist with their last quote.
SELECT listed.symbol, company_name, is_active, inactive_reason, listed.source, listed.updated_at AS added_at,
       stock_data.current_price, stock_data.quoted_at
FROM tv_watchlist_symbols AS listed
JOIN stocks USING (symbol)
LEFT JOIN stock_data USING (symbol)
WHERE watchlist_name = %(name)s
ORDER BY listed.symbol
