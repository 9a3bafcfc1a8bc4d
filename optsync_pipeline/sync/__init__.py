"""From symbols to outcomes. What starts a sync comes here; nothing here knows Dagster or SQL."""
