"""The Dagster assets: the tables of the market, one key a table."""
