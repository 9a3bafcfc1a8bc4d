-- The ranking of one strategy, or of all, as far as a rank.
SELECT premium_rankings.*, stocks.company_name
FROM premium_rankings
JOIN stocks USING (symbol)
WHERE (%(strategy)s::text IS NULL OR strategy = %(strategy)s)
  AND (%(limit)s::integer IS NULL OR rank <= %(limit)s)
ORDER BY strategy, rank
