"""A local option market that speaks the vendors' protocols: for the demo, for tests, for load tests. Not a real market.

    sessions.py   when the exchange trades
    model.py      what a market is: companies, quotes, chains, and the Market protocol
    market.py     the invented market, every figure from a seed; listing.py its companies, pricing.py its chains
    recorded.py   a recorded market, moved to today
    yahoo.py      a market in Yahoo's words; yahoo_chart.py histories, yahoo_access.py cookie, crumb and consent
    cboe.py       a market in Cboe's words
    replies.py    what those hand to the server
    faults.py     what goes wrong on purpose; spoiling.py does it to figures, exchange.py to replies and connections
    traffic.py    what was asked
    exchange.py   one request from its arrival to its answer
    routes.py     which vendor path is whose
    control.py    the HTTP API that orders faults and latency and tells truth and traffic
    serving.py    the HTTP application, and serving it on loopback
    running.py    a sandbox for the length of a `with` block, in a thread or a process (child.py)
    server.py     what others take: run, running_sandbox, sandbox_process, create_app

Of this project it knows `options` alone, so a mistake anywhere else cannot hide by being made on both sides.
"""
