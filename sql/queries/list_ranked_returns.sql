-- The ranking in its order, as far as its order and its age can be judged.
SELECT strategy, rank, monthly_return, ranked_at
  FROM premium_rankings
 ORDER BY strategy, rank
