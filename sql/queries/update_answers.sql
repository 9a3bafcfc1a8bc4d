-- Notes of which stocks a chain was just found, and of which a provider said for good that there is nothing to have.
UPDATE stocks
SET has_options = found.answer IS NULL,
    answer = found.answer,
    answered_at = CASE WHEN found.answer IS NOT NULL THEN found.answered_at END
FROM unnest(%(symbols)s::text[], %(answers)s::text[], %(answered_at)s::timestamptz[]) AS found (symbol, answer, answered_at)
WHERE stocks.symbol = found.symbol
  AND (found.answer IS NOT NULL OR stocks.answer IS NOT NULL OR stocks.has_options IS DISTINCT FROM true)
