-- What an unattended installation keeps: who is watched, who was asked for by a person, why a stock is not synced any
-- more, how often failed symbols were asked again, and what was told to whom.

CREATE TABLE tv_watchlists (
    name text PRIMARY KEY CHECK (name ~ '^[[:graph:]]([[:print:]]{0,58}[[:graph:]])?$'),
    source text NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE tv_watchlists IS 'Named lists of stocks, made by hand or imported from TradingView. Their stocks are synced first.';
COMMENT ON COLUMN tv_watchlists.source IS 'manual, or the file that it was imported from.';
COMMENT ON COLUMN tv_watchlists.updated_at IS 'When a symbol was last added or removed.';

CREATE TABLE tv_watchlist_symbols (
    watchlist_name text NOT NULL REFERENCES tv_watchlists (name) ON UPDATE CASCADE ON DELETE CASCADE,
    symbol text NOT NULL REFERENCES stocks (symbol) ON DELETE CASCADE,
    source text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (watchlist_name, symbol)
);
COMMENT ON TABLE tv_watchlist_symbols IS 'The stocks of each watchlist.';
COMMENT ON COLUMN tv_watchlist_symbols.source IS 'manual, or the file and section (###) that it came from.';
COMMENT ON COLUMN tv_watchlist_symbols.updated_at IS 'When it was put on the list.';
CREATE INDEX tv_watchlist_symbols_symbol ON tv_watchlist_symbols (symbol);

CREATE TABLE refresh_requests (
    request_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol text NOT NULL REFERENCES stocks (symbol) ON DELETE CASCADE,
    requested_at timestamptz NOT NULL,
    requested_by text,
    claimed_at timestamptz
);
COMMENT ON TABLE refresh_requests IS 'Stocks that a person wants refreshed now (`optsync refresh`); the priority sensor starts them.';
COMMENT ON COLUMN refresh_requests.requested_at IS 'When it was asked for.';
COMMENT ON COLUMN refresh_requests.requested_by IS 'The user and machine that asked.';
COMMENT ON COLUMN refresh_requests.claimed_at IS 'When a run was started for it; null: it waits.';
-- One request a symbol waits at a time: who asks for it twice does not get two syncs.
CREATE UNIQUE INDEX refresh_requests_waiting ON refresh_requests (symbol) WHERE claimed_at IS NULL;

ALTER TABLE stocks
    ADD COLUMN inactive_reason text,
    ADD COLUMN inactive_since timestamptz,
    ADD COLUMN no_options_since timestamptz,
    ADD COLUMN delisted_since timestamptz;
UPDATE stocks SET inactive_reason = 'removed' WHERE NOT is_active;
COMMENT ON COLUMN stocks.inactive_reason IS 'Why it is not synced any more: removed, delisted, or no options for 30 days; null while active.';
COMMENT ON COLUMN stocks.inactive_since IS 'Since when it is not synced any more; null while active, and where that was before it was noted.';
COMMENT ON COLUMN stocks.no_options_since IS 'When it was first said to have no listed options; null once a chain is found.';
COMMENT ON COLUMN stocks.delisted_since IS 'Since when every answer is that it is delisted; null once another answer comes.';

CREATE VIEW sync_order AS
SELECT symbol,
       market_cap,
       watched.is_watched,
       CASE
           WHEN EXISTS (
               SELECT FROM refresh_requests AS request
               WHERE request.symbol = stocks.symbol AND request.claimed_at IS NULL
           ) THEN 1
           WHEN watched.is_watched THEN 2
           WHEN stock_data.volume > 1000000 THEN 3
           WHEN stock_data.current_price > 50 THEN 4
           ELSE 5
       END AS priority
FROM stocks
LEFT JOIN stock_data USING (symbol)
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM tv_watchlist_symbols AS listed WHERE listed.symbol = stocks.symbol) AS is_watched
) AS watched
WHERE is_active;
COMMENT ON VIEW sync_order IS 'The active stocks with their place in a sync: by priority, then the largest, then by symbol. 1: a person waits for it; 2: watched; 3: above 1,000,000 shares in its last session; 4: above $50; 5: the rest.';

ALTER TABLE sync_jobs
    ADD COLUMN reask_rounds integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT sync_jobs_sync_type_check,
    ADD CONSTRAINT sync_jobs_sync_type_check
        CHECK (sync_type IN ('all', 'symbols', 'stale', 'failed', 'watchlist', 'partition', 'refresh'));
COMMENT ON COLUMN sync_jobs.reask_rounds IS 'How often its failed symbols were asked again, each as its own partition run.';

CREATE TABLE alerts_sent (
    alert_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule text NOT NULL,
    incident text NOT NULL,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    title text NOT NULL,
    body text NOT NULL,
    delivered_at timestamptz,
    resolution_delivered_at timestamptz,
    delivery_attempts integer NOT NULL DEFAULT 0,
    delivery_error text
);
COMMENT ON TABLE alerts_sent IS 'Every incident that was told, once, and its end. An incident is open while resolved_at is null.';
COMMENT ON COLUMN alerts_sent.rule IS 'The rule that found it.';
COMMENT ON COLUMN alerts_sent.incident IS 'What it is about: a job, a provider, or the rule''s only subject.';
COMMENT ON COLUMN alerts_sent.opened_at IS 'When it was found.';
COMMENT ON COLUMN alerts_sent.resolved_at IS 'When it was found to be over; for what has no end (a summary), when it was told.';
COMMENT ON COLUMN alerts_sent.delivered_at IS 'When every alert service took the message; null: it is tried again.';
COMMENT ON COLUMN alerts_sent.resolution_delivered_at IS 'When every alert service took the word that it is over.';
COMMENT ON COLUMN alerts_sent.delivery_attempts IS 'How often the latest message was tried.';
COMMENT ON COLUMN alerts_sent.delivery_error IS 'Why the latest try failed; never holds the service''s address.';
CREATE UNIQUE INDEX alerts_sent_open ON alerts_sent (rule, incident) WHERE resolved_at IS NULL;
COMMENT ON COLUMN alerts_sent.alert_id IS 'Counts up; names an alert on the command line.';
COMMENT ON COLUMN refresh_requests.request_id IS 'Counts up.';

CREATE TABLE metric_totals (
    metric text NOT NULL,
    provider text NOT NULL,
    kind text NOT NULL,
    total double precision NOT NULL CHECK (total >= 0),
    PRIMARY KEY (metric, provider, kind)
);
COMMENT ON TABLE metric_totals IS 'What `optsync metrics` counts, since the first sync. It only grows, whatever becomes of old jobs.';
COMMENT ON COLUMN metric_totals.metric IS 'What is counted; docs/operations.md lists what is made of it.';
COMMENT ON COLUMN metric_totals.provider IS 'The vendor that it is about; empty where it is about none.';
COMMENT ON COLUMN metric_totals.kind IS 'A status, an error_type, or the upper bound in seconds of a histogram''s bucket; empty where there are no kinds.';
COMMENT ON COLUMN metric_totals.total IS 'How many, or how many seconds. Of a bucket: those above the bucket before.';
