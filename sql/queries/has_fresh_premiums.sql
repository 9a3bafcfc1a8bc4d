-- Whether any active stock has a sellable contract that was quoted since a time.
SELECT EXISTS (
    SELECT FROM stock_premiums
    JOIN stocks USING (symbol)
    WHERE is_active AND quoted_at >= %(fresh_since)s
) AS found
