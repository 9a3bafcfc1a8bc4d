-- Notes which stocks were just found to have listed options, and which not.
UPDATE stocks
SET has_options = found.has_options
FROM unnest(%(symbols)s::text[], %(has_options)s::boolean[]) AS found (symbol, has_options)
WHERE stocks.symbol = found.symbol
  AND stocks.has_options IS DISTINCT FROM found.has_options
