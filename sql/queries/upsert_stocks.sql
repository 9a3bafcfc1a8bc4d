-- Adds stocks, or fills in what is newly known of them; one that was retired stays out (reactivate_stocks).
INSERT INTO stocks (symbol, company_name, sector, industry, market_cap)
VALUES %s
ON CONFLICT (symbol) DO UPDATE SET
    company_name = coalesce(excluded.company_name, stocks.company_name),
    sector = coalesce(excluded.sector, stocks.sector),
    industry = coalesce(excluded.industry, stocks.industry),
    market_cap = coalesce(excluded.market_cap, stocks.market_cap)
RETURNING (xmax = 0) AS added
