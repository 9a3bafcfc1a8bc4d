"""PostgreSQL. The only room that knows SQL and the embedded server."""
