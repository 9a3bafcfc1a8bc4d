"""A local option market that speaks the vendors' protocols: for the demo, for tests, for load tests. Not a real market.

    sessions.py   when the exchange trades
    model.py      what a market is: companies, quotes, chains, and the Market protocol
    market.py     the invented market, every figure from a seed; listing.py its companies, pricing.py its chains
    recorded.py   a recorded market, moved to today
    yahoo.py      a market in Yahoo's words; yahoo_chart.py histories, yahoo_access.py cookie, crumb and consent
    cboe.py       a market in Cboe's words
    robinhood.py  a market in Robinhood's words: stocks and chains; robinhood_contracts.py contracts,
                  robinhood_marketdata.py their quotes, robinhood_ids.py ids, robinhood_wording.py numbers and lists,
                  robinhood_login.py who may ask
    polygon.py    a market in Polygon's words; polygon_query.py its filters and pages
    accounts.py   the credentials that Robinhood and Polygon take here
    replies.py    what those hand to the server; contract_rows.py for what comes in pages; refusals.py what is refused
    faults.py     what goes wrong on purpose; spoiling.py does it to figures, exchange.py to replies and connections
    limits.py     how often a provider may be asked, where that is ordered; outages.py which one is down
    traffic.py    what was asked; truth.py what is true
    exchange.py   one request from its arrival to its answer
    routes.py     which path of Yahoo and Cboe is whose; robinhood_routes.py, polygon_routes.py
    control.py    the HTTP API that orders all that and tells truth and traffic
    serving.py    the HTTP application, and serving it on loopback
    pointing.py   the addresses and settings that point a sync at a sandbox
    running.py    a sandbox for the length of a `with` block, in a thread or a process (child.py)
    remote.py     a running sandbox as seen from outside
    server.py     what others take: run, running_sandbox, sandbox_process, create_app

Of this project it knows `options` alone, so a mistake anywhere else cannot hide by being made on both sides.
"""
