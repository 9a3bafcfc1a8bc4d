-- Each watchlist with how many stocks are on it.
SELECT name, count(symbol) AS symbols, tv_watchlists.source, tv_watchlists.updated_at
FROM tv_watchlists
LEFT JOIN tv_watchlist_symbols ON watchlist_name = name
GROUP BY name
ORDER BY name
