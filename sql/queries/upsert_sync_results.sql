-- Writes what became of symbols of a job, over what an earlier run of the same job wrote. What was spent adds up: a
-- symbol that is asked again has cost its earlier requests all the same.
INSERT INTO sync_stock_results (
    job_id, symbol, status, started_at, completed_at, duration_ms, options_fetched, options_inserted,
    options_rejected, premiums_inserted, current_price, expirations, quoted_at, error_type,
    error_message, retry_count, requests, data_provider, attempts, strikes, chain_doubt, chain_note
)
VALUES %s
ON CONFLICT (job_id, symbol) DO UPDATE SET
    status = excluded.status,
    started_at = excluded.started_at,
    completed_at = excluded.completed_at,
    duration_ms = excluded.duration_ms,
    options_fetched = excluded.options_fetched,
    options_inserted = excluded.options_inserted,
    options_rejected = excluded.options_rejected,
    premiums_inserted = excluded.premiums_inserted,
    current_price = excluded.current_price,
    expirations = excluded.expirations,
    quoted_at = excluded.quoted_at,
    error_type = excluded.error_type,
    error_message = excluded.error_message,
    retry_count = sync_stock_results.retry_count + excluded.retry_count,
    requests = sync_stock_results.requests + excluded.requests,
    data_provider = excluded.data_provider,
    attempts = sync_stock_results.attempts || excluded.attempts,
    strikes = excluded.strikes,
    chain_doubt = excluded.chain_doubt,
    chain_note = excluded.chain_note,
    price_doubt = NULL,
    price_note = NULL
