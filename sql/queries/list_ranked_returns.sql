-- The ranking in its order, as far as the order can be judged.
SELECT strategy, rank, monthly_return
  FROM premium_rankings
 ORDER BY strategy, rank
