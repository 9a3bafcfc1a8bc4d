-- Which of some stocks were lately said to have nothing, and what was said.
SELECT symbol, answer, answered_at
FROM stocks
WHERE symbol = ANY(%(symbols)s) AND answer IS NOT NULL AND answered_at >= %(since)s
