-- What all processes share about a vendor: its limits, its breaker, its ids; what it answered about a stock; and how a
-- running sync is told to stop.

CREATE TABLE api_rate_limits (
    provider text PRIMARY KEY,
    max_requests_per_minute integer NOT NULL CHECK (max_requests_per_minute >= 1),
    max_requests_per_hour integer NOT NULL CHECK (max_requests_per_hour >= 1),
    current_requests_per_minute double precision NOT NULL CHECK (current_requests_per_minute > 0),
    next_token_at timestamptz NOT NULL DEFAULT 'epoch',
    burst_left integer NOT NULL DEFAULT 0,
    burst_until timestamptz NOT NULL DEFAULT 'epoch',
    hour_counts integer[] NOT NULL DEFAULT array_fill(0, ARRAY[61]),
    hour_minute bigint NOT NULL DEFAULT 0,
    paused_until timestamptz,
    backoff_seconds double precision NOT NULL DEFAULT 1,
    good_replies integer NOT NULL DEFAULT 0,
    circuit_state text NOT NULL DEFAULT 'closed' CHECK (circuit_state IN ('closed', 'open', 'half_open')),
    consecutive_failures integer NOT NULL DEFAULT 0,
    circuit_opened_at timestamptz,
    probe_until timestamptz,
    last_error text,
    last_error_at timestamptz,
    last_good_at timestamptz,
    total_requests bigint NOT NULL DEFAULT 0,
    rate_limited_count bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20); -- a row changes with every request: its next version finds room on its page
COMMENT ON TABLE api_rate_limits IS 'The limit and the circuit breaker of each vendor, shared by every process and machine on this database.';
COMMENT ON COLUMN api_rate_limits.max_requests_per_minute IS 'The setting of the process that started last, or what `optsync providers set` said since.';
COMMENT ON COLUMN api_rate_limits.max_requests_per_hour IS 'In any 60 minutes.';
COMMENT ON COLUMN api_rate_limits.current_requests_per_minute IS 'What is allowed now: halved after a 429, raised again by good replies.';
COMMENT ON COLUMN api_rate_limits.next_token_at IS 'When the next request may go out, burst aside.';
COMMENT ON COLUMN api_rate_limits.burst_left IS 'Requests that may go out ahead of their time until burst_until, earned by being idle before.';
COMMENT ON COLUMN api_rate_limits.burst_until IS 'When what is left of a burst is forfeit.';
COMMENT ON COLUMN api_rate_limits.hour_counts IS 'Requests of the minute hour_minute (the last element) and of the 60 before it.';
COMMENT ON COLUMN api_rate_limits.hour_minute IS 'Minutes since 1970.';
COMMENT ON COLUMN api_rate_limits.paused_until IS 'No request before: the vendor answered 429.';
COMMENT ON COLUMN api_rate_limits.backoff_seconds IS 'The pause after the next 429 that names none.';
COMMENT ON COLUMN api_rate_limits.good_replies IS 'Since the rate last changed; 100 raise it by a step.';
COMMENT ON COLUMN api_rate_limits.circuit_state IS 'open: no request goes out; half_open: one probe is under way.';
COMMENT ON COLUMN api_rate_limits.consecutive_failures IS 'Failed requests since the last good reply; answers such as 404 are none.';
COMMENT ON COLUMN api_rate_limits.circuit_opened_at IS 'When the breaker last opened; null while closed.';
COMMENT ON COLUMN api_rate_limits.probe_until IS 'A probe whose process died gives way to another then.';
COMMENT ON COLUMN api_rate_limits.last_error IS 'Kind and reason of the latest failure.';
COMMENT ON COLUMN api_rate_limits.last_error_at IS 'When that was.';
COMMENT ON COLUMN api_rate_limits.updated_at IS 'When the row last changed; a time before it is a clock that was set back.';
COMMENT ON COLUMN api_rate_limits.last_good_at IS 'When a good reply was last told; of those in a row only some are.';
COMMENT ON COLUMN api_rate_limits.total_requests IS 'Requests since the row was made.';
COMMENT ON COLUMN api_rate_limits.rate_limited_count IS '429s since the row was made.';

-- What a vendor said for good of a stock is remembered, so that it need not be asked each day.
ALTER TABLE stocks
    ADD COLUMN answer text CHECK (answer IN ('no_options', 'delisted')),
    ADD COLUMN answered_at timestamptz,
    ADD COLUMN answered_by text[];
COMMENT ON COLUMN stocks.answer IS 'Why the last sync that was answered found nothing; null where it found a chain.';
COMMENT ON COLUMN stocks.answered_by IS 'The vendors that said so. Where another one may be asked too, the stock is asked again.';
COMMENT ON COLUMN stocks.answered_at IS 'When that was said. Syncs of many stocks ask again 7 days later.';

-- Vendors list different expirations: which vendor's list this is decides what its absence from a reply means.
ALTER TABLE stock_data ADD COLUMN expirations_provider text;
COMMENT ON COLUMN stock_data.expirations_provider IS 'The vendor that listed listed_expirations.';
UPDATE stock_data SET expirations_provider = data_provider;

ALTER TABLE sync_jobs
    ADD COLUMN prices_only boolean NOT NULL DEFAULT false,
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN left_out jsonb NOT NULL DEFAULT '{}'::jsonb;
COMMENT ON COLUMN sync_jobs.prices_only IS 'Whether it fetched prices alone, without chains.';
COMMENT ON COLUMN sync_jobs.cancel_requested_at IS 'When somebody asked for its end; the process that runs it looks twice a second.';
COMMENT ON COLUMN sync_jobs.left_out IS 'Providers that were not asked to the end, each with the reason.';

CREATE TABLE robinhood_chains (
    symbol text PRIMARY KEY REFERENCES stocks (symbol) ON DELETE CASCADE,
    instrument_id text NOT NULL,
    chain_id text NOT NULL,
    chain_symbol text NOT NULL,
    expirations date[] NOT NULL,
    listed_at timestamptz NOT NULL
);
COMMENT ON TABLE robinhood_chains IS 'Robinhood''s ids of a stock and its chain, and the expirations that it listed.';
COMMENT ON COLUMN robinhood_chains.listed_at IS 'When Robinhood gave this list.';

CREATE TABLE robinhood_contracts (
    contract_id text PRIMARY KEY,
    symbol text NOT NULL REFERENCES stocks (symbol) ON DELETE CASCADE,
    expiration_date date NOT NULL,
    strike_price double precision NOT NULL,
    option_type text NOT NULL CHECK (option_type IN ('put', 'call')),
    listed_at timestamptz NOT NULL
);
COMMENT ON TABLE robinhood_contracts IS 'Robinhood''s ids of contracts, so that a chain costs one request for 50 of them.';
COMMENT ON COLUMN robinhood_contracts.expiration_date IS 'The last trading day in New York.';
COMMENT ON COLUMN robinhood_contracts.strike_price IS 'Dollars a share.';
COMMENT ON COLUMN robinhood_contracts.listed_at IS 'When Robinhood gave this id.';
CREATE INDEX robinhood_contracts_symbol ON robinhood_contracts (symbol, expiration_date);
