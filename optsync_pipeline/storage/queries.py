"""Finds the SQL text of a query by its name: sql/queries/NAME.sql. What the queries mean is said in those files."""

from functools import cache

from optsync_pipeline.settings import PROJECT_ROOT

QUERIES_FOLDER = PROJECT_ROOT / "sql" / "queries"


@cache
def sql_text(name_or_sql: str) -> str:
    """Return the text of a named query (one lower-case word, like `list_stocks`); SQL itself is returned as it is."""
    if not (name_or_sql.isidentifier() and name_or_sql.islower()):
        return name_or_sql
    return (QUERIES_FOLDER / f"{name_or_sql}.sql").read_text(encoding="utf-8")
