-- Money in US dollars; *_pct, monthly_return and annual_return in percent;
-- probabilities, delta, implied_volatility and dividend_yield as fractions; times timestamptz.

CREATE TABLE stocks (
    symbol text PRIMARY KEY CHECK (symbol ~ '^[A-Z][A-Z0-9]{0,9}([.][A-Z0-9]{1,4})?$'),
    company_name text,
    sector text,
    industry text,
    market_cap numeric(20, 2) CHECK (market_cap >= 0),
    is_active boolean NOT NULL DEFAULT true,
    has_options boolean,
    added_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE stocks IS 'The universe: which stocks are synced. One row a symbol, class shares with a dot (BRK.B).';
COMMENT ON COLUMN stocks.symbol IS 'With a dot for class shares: BRK.B.';
COMMENT ON COLUMN stocks.market_cap IS 'Dollars; syncs and lists begin with the largest.';
COMMENT ON COLUMN stocks.is_active IS 'Whether it is synced; a removed stock keeps its rows.';
COMMENT ON COLUMN stocks.added_at IS 'When it first joined the universe.';
COMMENT ON COLUMN stocks.has_options IS 'What the last sync that got an answer found; null: never asked.';

CREATE TABLE stock_data (
    symbol text PRIMARY KEY REFERENCES stocks (symbol) ON DELETE CASCADE,
    current_price double precision NOT NULL CHECK (current_price > 0),
    previous_close double precision CHECK (previous_close > 0),
    volume bigint CHECK (volume >= 0),
    market_state text,
    dividend_yield double precision CHECK (dividend_yield >= 0),
    listed_expirations date[] NOT NULL DEFAULT '{}',
    quoted_at timestamptz NOT NULL,
    data_provider text NOT NULL,
    last_updated timestamptz NOT NULL
);
COMMENT ON TABLE stock_data IS 'The latest quote of each stock. Its age is now() - quoted_at.';
COMMENT ON COLUMN stock_data.current_price IS 'Dollars a share, the last trade.';
COMMENT ON COLUMN stock_data.previous_close IS 'Dollars a share, of the session before.';
COMMENT ON COLUMN stock_data.volume IS 'Shares traded in the session of the quote.';
COMMENT ON COLUMN stock_data.market_state IS 'The vendor''s word for the hour, such as REGULAR or CLOSED.';
COMMENT ON COLUMN stock_data.data_provider IS 'The vendor that the quote comes from.';
COMMENT ON COLUMN stock_data.last_updated IS 'When our sync wrote the row.';
COMMENT ON COLUMN stock_data.dividend_yield IS 'Trailing annual yield as a fraction, where the vendor gives one; used as q in the premium arithmetic.';
COMMENT ON COLUMN stock_data.listed_expirations IS 'Every expiration the vendor listed: the next sync asks for the right one at once.';
COMMENT ON COLUMN stock_data.quoted_at IS 'When the vendor says that the stock last traded.';

CREATE TABLE stock_prices (
    symbol text NOT NULL REFERENCES stocks (symbol) ON DELETE CASCADE,
    price_date date NOT NULL,
    open double precision CHECK (open > 0),
    high double precision CHECK (high > 0),
    low double precision CHECK (low > 0),
    close double precision NOT NULL CHECK (close > 0),
    volume bigint CHECK (volume >= 0),
    is_final boolean NOT NULL,
    data_provider text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (symbol, price_date)
);
COMMENT ON TABLE stock_prices IS 'One bar a stock and session, from the quote that came with its chain.';
COMMENT ON COLUMN stock_prices.price_date IS 'The session''s day in New York.';
COMMENT ON COLUMN stock_prices.open IS 'Dollars a share, like high, low and close.';
COMMENT ON COLUMN stock_prices.high IS 'Dollars a share.';
COMMENT ON COLUMN stock_prices.low IS 'Dollars a share.';
COMMENT ON COLUMN stock_prices.close IS 'Dollars a share; the latest trade while is_final is false.';
COMMENT ON COLUMN stock_prices.volume IS 'Shares.';
COMMENT ON COLUMN stock_prices.data_provider IS 'The vendor that the bar comes from.';
COMMENT ON COLUMN stock_prices.updated_at IS 'When our sync wrote the row.';
COMMENT ON COLUMN stock_prices.is_final IS 'False while the session (and the vendor''s delay) was not over when the quote was taken.';

CREATE TABLE option_chains (
    symbol text NOT NULL REFERENCES stocks (symbol) ON DELETE CASCADE,
    expiration_date date NOT NULL,
    strike_price double precision NOT NULL CHECK (strike_price > 0 AND strike_price < 'infinity'),
    option_type text NOT NULL CHECK (option_type IN ('put', 'call')),
    contract_symbol text NOT NULL,
    bid double precision CHECK (bid >= 0),
    ask double precision CHECK (ask >= 0),
    last_price double precision CHECK (last_price >= 0),
    volume bigint CHECK (volume >= 0),
    open_interest bigint CHECK (open_interest >= 0),
    implied_volatility double precision CHECK (implied_volatility >= 0),
    delta double precision CHECK (delta BETWEEN -1 AND 1),
    gamma double precision,
    theta double precision,
    vega double precision,
    rho double precision,
    quoted_at timestamptz NOT NULL,
    data_provider text NOT NULL,
    last_updated timestamptz NOT NULL,
    PRIMARY KEY (symbol, expiration_date, strike_price, option_type)
);
COMMENT ON TABLE option_chains IS 'Every standard contract of the chosen expirations as the vendor quoted it, zero and crossed quotes included.';
COMMENT ON COLUMN option_chains.expiration_date IS 'The last trading day in New York.';
COMMENT ON COLUMN option_chains.strike_price IS 'Dollars a share.';
COMMENT ON COLUMN option_chains.contract_symbol IS 'The OCC symbol without padding: AAPL260821P00150000.';
COMMENT ON COLUMN option_chains.bid IS 'Dollars a share; a contract is 100 shares.';
COMMENT ON COLUMN option_chains.ask IS 'Dollars a share.';
COMMENT ON COLUMN option_chains.last_price IS 'Dollars a share, of the last trade, however old.';
COMMENT ON COLUMN option_chains.volume IS 'Contracts traded in the session of the quote.';
COMMENT ON COLUMN option_chains.open_interest IS 'Contracts open, as of the session before.';
COMMENT ON COLUMN option_chains.gamma IS 'Change of delta for a dollar of the share.';
COMMENT ON COLUMN option_chains.theta IS 'As the vendor gives it: dollars a share and day with most.';
COMMENT ON COLUMN option_chains.vega IS 'As the vendor gives it: dollars a share for a point of volatility with most.';
COMMENT ON COLUMN option_chains.rho IS 'As the vendor gives it: dollars a share for a point of interest with most.';
COMMENT ON COLUMN option_chains.quoted_at IS 'As of when the vendor gives the quote.';
COMMENT ON COLUMN option_chains.data_provider IS 'The vendor that the quote comes from.';
COMMENT ON COLUMN option_chains.last_updated IS 'When our sync wrote the row.';
COMMENT ON COLUMN option_chains.delta IS 'The vendor''s own, like gamma, theta, vega and rho; null where the vendor gives none.';
COMMENT ON COLUMN option_chains.implied_volatility IS 'The vendor''s own as a fraction, unusable values included.';

CREATE TABLE stock_premiums (
    symbol text NOT NULL REFERENCES stocks (symbol) ON DELETE CASCADE,
    expiration_date date NOT NULL,
    strike_price double precision NOT NULL CHECK (strike_price > 0 AND strike_price < 'infinity'),
    option_type text NOT NULL CHECK (option_type IN ('put', 'call')),
    contract_symbol text NOT NULL,
    dte integer NOT NULL CHECK (dte >= 1),
    underlying_price double precision NOT NULL CHECK (underlying_price > 0),
    bid double precision NOT NULL CHECK (bid > 0),
    ask double precision NOT NULL CHECK (ask >= bid),
    premium double precision NOT NULL CHECK (premium > 0),
    delta double precision NOT NULL CHECK (delta BETWEEN -1 AND 1),
    implied_volatility double precision NOT NULL CHECK (implied_volatility BETWEEN 0.01 AND 5),
    greeks_source text NOT NULL CHECK (greeks_source IN ('vendor', 'black_scholes')),
    volume bigint CHECK (volume >= 0),
    open_interest bigint CHECK (open_interest >= 0),
    spread_pct double precision NOT NULL CHECK (spread_pct >= 0),
    break_even double precision NOT NULL,
    collateral double precision NOT NULL CHECK (collateral > 0),
    monthly_return double precision NOT NULL CHECK (monthly_return > 0),
    annual_return double precision NOT NULL CHECK (annual_return > 0),
    probability_of_profit double precision NOT NULL CHECK (probability_of_profit BETWEEN 0 AND 1),
    quoted_at timestamptz NOT NULL,
    data_provider text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (symbol, expiration_date, strike_price, option_type)
);
COMMENT ON TABLE stock_premiums IS 'The sellable contracts with what their seller collects at the bid: put = cash-secured put, call = covered call.';
COMMENT ON COLUMN stock_premiums.expiration_date IS 'The last trading day in New York.';
COMMENT ON COLUMN stock_premiums.strike_price IS 'Dollars a share.';
COMMENT ON COLUMN stock_premiums.contract_symbol IS 'The OCC symbol without padding: AAPL260821P00150000.';
COMMENT ON COLUMN stock_premiums.dte IS 'Calendar days to expiration in New York, at least 1.';
COMMENT ON COLUMN stock_premiums.underlying_price IS 'Dollars a share, from the same reply as the contract.';
COMMENT ON COLUMN stock_premiums.bid IS 'Dollars a share: what a seller gets at once.';
COMMENT ON COLUMN stock_premiums.ask IS 'Dollars a share.';
COMMENT ON COLUMN stock_premiums.delta IS 'A fraction, negative for puts; greeks_source says whose.';
COMMENT ON COLUMN stock_premiums.volume IS 'Contracts traded in the session of the quote.';
COMMENT ON COLUMN stock_premiums.open_interest IS 'Contracts open, as of the session before.';
COMMENT ON COLUMN stock_premiums.spread_pct IS 'Percent of the mid: 100 x (ask - bid) / mid.';
COMMENT ON COLUMN stock_premiums.break_even IS 'Dollars a share, at expiration.';
COMMENT ON COLUMN stock_premiums.collateral IS 'Dollars per contract that the position binds.';
COMMENT ON COLUMN stock_premiums.monthly_return IS 'Percent of collateral per 30 days, not compounded.';
COMMENT ON COLUMN stock_premiums.annual_return IS 'Percent of collateral per 365 days, not compounded.';
COMMENT ON COLUMN stock_premiums.probability_of_profit IS 'A fraction: the risk-neutral chance of ending beyond break_even.';
COMMENT ON COLUMN stock_premiums.quoted_at IS 'As of when the vendor gives the quote.';
COMMENT ON COLUMN stock_premiums.data_provider IS 'The vendor that the quote comes from.';
COMMENT ON COLUMN stock_premiums.updated_at IS 'When our sync wrote the row.';
COMMENT ON COLUMN stock_premiums.premium IS 'Dollars per contract: 100 x bid.';
COMMENT ON COLUMN stock_premiums.greeks_source IS 'Where delta comes from: the vendor, or Black-Scholes-Merton from implied_volatility.';
COMMENT ON COLUMN stock_premiums.implied_volatility IS 'The vendor''s where usable, else solved from the mid; a fraction.';

-- The best contract of each symbol: one probe of this index a symbol (benchmarks/ranking_query.py).
-- The ranking query states its delta limits as constants, so that the planner can prove the predicate.
CREATE INDEX stock_premiums_best_return ON stock_premiums (option_type, symbol, monthly_return DESC)
    WHERE abs(delta) BETWEEN 0.15 AND 0.5;

CREATE TABLE premium_rankings (
    strategy text NOT NULL CHECK (strategy IN ('cash_secured_put', 'covered_call')),
    rank integer NOT NULL CHECK (rank >= 1),
    symbol text NOT NULL REFERENCES stocks (symbol) ON DELETE CASCADE,
    contract_symbol text NOT NULL,
    expiration_date date NOT NULL,
    strike_price double precision NOT NULL,
    option_type text NOT NULL CHECK (option_type IN ('put', 'call')),
    dte integer NOT NULL,
    underlying_price double precision NOT NULL,
    bid double precision NOT NULL,
    ask double precision NOT NULL,
    premium double precision NOT NULL,
    collateral double precision NOT NULL,
    break_even double precision NOT NULL,
    monthly_return double precision NOT NULL,
    annual_return double precision NOT NULL,
    delta double precision NOT NULL,
    implied_volatility double precision NOT NULL,
    probability_of_profit double precision NOT NULL,
    spread_pct double precision NOT NULL,
    open_interest bigint NOT NULL,
    quoted_at timestamptz NOT NULL,
    data_provider text NOT NULL,
    ranked_at timestamptz NOT NULL,
    PRIMARY KEY (strategy, rank),
    UNIQUE (strategy, symbol)
);
COMMENT ON TABLE premium_rankings IS 'The best contract of each symbol for each strategy, by monthly_return; replaced whole by each ranking, kept where there is no fresh quote to rank.';
COMMENT ON COLUMN premium_rankings.rank IS 'From 1, by monthly_return, then open_interest, then symbol.';
COMMENT ON COLUMN premium_rankings.ranked_at IS 'When the ranking was made.';

-- The columns that a ranking takes from stock_premiums mean what they mean there.
DO $$
DECLARE
    told record;
BEGIN
    FOR told IN
        SELECT ranked.attname, col_description(source.attrelid, source.attnum) AS meaning
        FROM pg_attribute AS ranked
        JOIN pg_attribute AS source USING (attname)
        WHERE ranked.attrelid = 'premium_rankings'::regclass AND ranked.attnum > 0
          AND source.attrelid = 'stock_premiums'::regclass
          AND col_description(source.attrelid, source.attnum) IS NOT NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN premium_rankings.%I IS %L', told.attname, told.meaning);
    END LOOP;
END
$$;

CREATE TABLE sync_jobs (
    job_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text,
    sync_type text NOT NULL CHECK (sync_type IN ('all', 'symbols', 'stale', 'failed', 'watchlist', 'partition')),
    status text NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled')),
    started_at timestamptz NOT NULL,
    resumed_at timestamptz,
    completed_at timestamptz,
    duration_seconds double precision,
    total_stocks integer NOT NULL DEFAULT 0,
    successful_stocks integer NOT NULL DEFAULT 0,
    failed_stocks integer NOT NULL DEFAULT 0,
    skipped_stocks integer NOT NULL DEFAULT 0,
    stocks_per_second double precision,
    concurrency_level integer NOT NULL,
    target_dtes integer[] NOT NULL,
    error_summary jsonb NOT NULL DEFAULT '{}'::jsonb,
    reask_done_at timestamptz,
    ranked_at timestamptz
);
COMMENT ON TABLE sync_jobs IS 'One row a sync. A job with status running is alive while its process holds the advisory lock on its job_id.';
COMMENT ON COLUMN sync_jobs.sync_type IS 'What was asked for: the universe, named symbols, or a part of it.';
COMMENT ON COLUMN sync_jobs.status IS 'Failed: nothing could be done. Cancelled: stopped or killed with some symbols left.';
COMMENT ON COLUMN sync_jobs.started_at IS 'When the job was first taken up.';
COMMENT ON COLUMN sync_jobs.completed_at IS 'When it ended, was found dead, or was last counted again after symbols were asked again.';
COMMENT ON COLUMN sync_jobs.total_stocks IS 'Symbols asked for.';
COMMENT ON COLUMN sync_jobs.skipped_stocks IS 'Symbols without options, or delisted.';
COMMENT ON COLUMN sync_jobs.stocks_per_second IS 'Symbols done by duration_seconds.';
COMMENT ON COLUMN sync_jobs.concurrency_level IS 'How many vendor calls could be under way at once.';
COMMENT ON COLUMN sync_jobs.target_dtes IS 'Days to expiration that were asked for; per entry the nearest listed expiration is fetched.';
COMMENT ON COLUMN sync_jobs.error_summary IS 'Failed symbols counted by error_type.';
COMMENT ON COLUMN sync_jobs.run_id IS 'The Dagster run that did (or last continued) the job.';
COMMENT ON COLUMN sync_jobs.resumed_at IS 'When the job was last taken up again after it had died or was cancelled.';
COMMENT ON COLUMN sync_jobs.duration_seconds IS 'Time at work: without the pause before resumed_at.';
COMMENT ON COLUMN sync_jobs.reask_done_at IS 'When the failed symbols of this job were asked again, each as its own partition run.';
COMMENT ON COLUMN sync_jobs.ranked_at IS 'When a ranking was made that saw this job''s rows.';
CREATE INDEX sync_jobs_run_id ON sync_jobs (run_id);

CREATE TABLE sync_stock_results (
    job_id integer NOT NULL REFERENCES sync_jobs (job_id) ON DELETE CASCADE,
    symbol text NOT NULL,
    status text NOT NULL CHECK (status IN ('success', 'failed', 'skipped', 'in_progress', 'pending')),
    started_at timestamptz,
    completed_at timestamptz,
    duration_ms double precision,
    options_fetched integer,
    options_inserted integer,
    options_rejected integer,
    premiums_inserted integer,
    current_price double precision,
    expirations date[],
    quoted_at timestamptz,
    error_type text CHECK (error_type IN ('api_timeout', 'network_error', 'rate_limited', 'circuit_open', 'auth_error',
        'not_entitled', 'provider_error', 'invalid_data', 'no_options', 'delisted', 'stale_data', 'db_error')),
    error_message text,
    retry_count integer NOT NULL DEFAULT 0,
    requests integer NOT NULL DEFAULT 0,
    data_provider text,
    attempts jsonb NOT NULL DEFAULT '[]'::jsonb,
    PRIMARY KEY (job_id, symbol)
);
COMMENT ON TABLE sync_stock_results IS 'What became of each symbol of each sync. Written in the transaction that writes the symbol''s rows.';
COMMENT ON COLUMN sync_stock_results.started_at IS 'When its first vendor call could begin.';
COMMENT ON COLUMN sync_stock_results.completed_at IS 'When its outcome was known.';
COMMENT ON COLUMN sync_stock_results.duration_ms IS 'Milliseconds from started_at, waits included.';
COMMENT ON COLUMN sync_stock_results.options_fetched IS 'Contracts in the vendor''s reply.';
COMMENT ON COLUMN sync_stock_results.options_inserted IS 'Rows written to option_chains.';
COMMENT ON COLUMN sync_stock_results.options_rejected IS 'Contracts in rejected_quotes.';
COMMENT ON COLUMN sync_stock_results.premiums_inserted IS 'Rows written to stock_premiums.';
COMMENT ON COLUMN sync_stock_results.current_price IS 'Dollars a share, as written to stock_data.';
COMMENT ON COLUMN sync_stock_results.expirations IS 'The expirations that were fetched.';
COMMENT ON COLUMN sync_stock_results.quoted_at IS 'As of when the vendor gave its quotes.';
COMMENT ON COLUMN sync_stock_results.error_type IS 'Why it failed or was skipped; null for a success.';
COMMENT ON COLUMN sync_stock_results.retry_count IS 'Tries after the first, over all vendors.';
COMMENT ON COLUMN sync_stock_results.requests IS 'HTTP requests, over all vendors.';
COMMENT ON COLUMN sync_stock_results.data_provider IS 'The vendor whose answer counts.';
COMMENT ON COLUMN sync_stock_results.attempts IS 'Each provider that was asked: provider, error_type, message, requests, duration_ms.';
CREATE INDEX sync_stock_results_symbol ON sync_stock_results (symbol, completed_at DESC);

CREATE VIEW sync_job_counts AS
SELECT sync_jobs.job_id, counted.*, faults.error_summary
FROM sync_jobs
CROSS JOIN LATERAL (
    SELECT count(*) AS total,
           count(*) FILTER (WHERE status = 'success') AS successful,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'skipped') AS skipped,
           count(*) FILTER (WHERE status IN ('pending', 'in_progress')) AS unfinished
    FROM sync_stock_results AS result
    WHERE result.job_id = sync_jobs.job_id
) AS counted
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(error_type, symbols), '{}'::jsonb) AS error_summary
    FROM (
        SELECT coalesce(error_type, 'unknown') AS error_type, count(*) AS symbols
        FROM sync_stock_results AS result
        WHERE result.job_id = sync_jobs.job_id AND status = 'failed'
        GROUP BY 1
    ) AS by_type
) AS faults;
COMMENT ON VIEW sync_job_counts IS 'What the results of each job say, counted now; sync_jobs has what was so at its end.';

CREATE TABLE rejected_quotes (
    job_id integer NOT NULL REFERENCES sync_jobs (job_id) ON DELETE CASCADE,
    symbol text NOT NULL,
    contract_symbol text NOT NULL,
    rule text NOT NULL,
    detail text,
    data_provider text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, symbol, contract_symbol, rule)
);
COMMENT ON TABLE rejected_quotes IS 'Every contract that did not become sellable, with the rule that refused it.';
COMMENT ON COLUMN rejected_quotes.rule IS 'Its name; quality/rules.py lists them all.';
COMMENT ON COLUMN rejected_quotes.detail IS 'What exactly was wrong, where the rule alone does not say.';
COMMENT ON COLUMN rejected_quotes.data_provider IS 'The vendor that the contract comes from.';
COMMENT ON COLUMN rejected_quotes.seen_at IS 'When it was refused.';
