-- Notes of which stocks a chain was just found, and of which a provider said for good that there is nothing to have.
-- Since when is kept as long as nothing says otherwise: a chain ends both, and one listed without options is not delisted.
UPDATE stocks
SET has_options = found.answer IS NULL,
    answer = found.answer,
    answered_at = CASE WHEN found.answer IS NOT NULL THEN found.answered_at END,
    answered_by = CASE WHEN found.answer IS NOT NULL THEN string_to_array(found.answered_by, ',') END,
    no_options_since = CASE found.answer
        WHEN 'no_options' THEN coalesce(no_options_since, found.answered_at)
        WHEN 'delisted' THEN no_options_since
    END,
    delisted_since = CASE WHEN found.answer = 'delisted' THEN coalesce(delisted_since, found.answered_at) END
FROM unnest(
    %(symbols)s::text[], %(answers)s::text[], %(answered_at)s::timestamptz[], %(answered_by)s::text[]
) AS found (symbol, answer, answered_at, answered_by)
WHERE stocks.symbol = found.symbol
  AND (found.answer IS NOT NULL OR stocks.answer IS NOT NULL OR stocks.has_options IS DISTINCT FROM true)
