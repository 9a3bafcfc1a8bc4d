"""optsync_pipeline: US equity option chains into PostgreSQL, and the premiums a seller could collect, ranked.

The rooms, from the door down (imports point downward only):

    cli, definitions          what a person and what Dagster start
    assets, checks, jobs,     one file a Dagster noun, each a thin skin
      schedules, sensors
    resources                 how a Dagster step reaches settings, database and engine
    sync                      the engine: symbols in, one SymbolOutcome each out
    metrics                   what `optsync metrics` tells Prometheus, and whether all is well
    fetching                  whom to ask, when, and how often again
    providers                 one file a vendor: its words in, standard rows out
    storage                   PostgreSQL: the only room that knows SQL
    quality                   which rows are sound, which quotes are sellable
    options                   arithmetic on arrays: prices, greeks, returns, ranking limits
    logs                      where log lines go
    settings, calendar,       what everything stands on
      partitions, redaction
    sandbox                   a local option market that speaks the vendors' protocols
"""
