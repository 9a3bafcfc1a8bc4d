"""Robinhood's ids of chains and contracts in PostgreSQL (robinhood_chains, robinhood_contracts), as plain tuples.

They serve every process and machine. What the tuples mean is said in providers/robinhood_ids.py, whose ContractIds this
is; when they are too old is said there too, not here.
"""

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta

import psycopg2.extensions
from psycopg2.extras import execute_values

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.queries import sql_text

ChainRow = tuple[str, str, str, tuple[date, ...], datetime]
ContractRow = tuple[str, date, float, str, datetime]


class StoredRobinhoodIds:
    """Keeps ids in the database. Raises StorageError where that cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read_chain(self, symbol: str) -> ChainRow | None:
        """Return instrument id, chain id, chain symbol, expirations and the time they were listed."""
        row = self._database.fetch_one("find_robinhood_chain", {"symbol": symbol})
        if row is None:
            return None
        ids = row["instrument_id"], row["chain_id"], row["chain_symbol"]
        return (*ids, tuple(row["expirations"]), row["listed_at"])

    def write_chain(self, symbol: str, chain: ChainRow) -> None:
        """Keep a stock's chain; nothing is kept of one that is not among the stocks."""
        names = ("instrument_id", "chain_id", "chain_symbol", "expirations", "listed_at")
        values = dict(zip(names, chain, strict=True))
        self._database.execute("upsert_robinhood_chain", {**values, "expirations": list(chain[3]), "symbol": symbol})

    def read_contracts(self, symbol: str, expirations: Collection[date]) -> list[ContractRow]:
        """Return id, expiration, strike, type and time of listing of a stock's contracts."""
        params = {"symbol": symbol, "expirations": list(expirations)}
        return [
            (row["contract_id"], row["expiration_date"], row["strike_price"], row["option_type"], row["listed_at"])
            for row in self._database.fetch_all("list_robinhood_contracts", params)
        ]

    def write_contracts(self, symbol: str, expirations: Collection[date], contracts: Iterable[ContractRow]) -> None:
        """Replace the contracts of these expirations, and drop those that expired before."""
        listed = list(contracts)
        # In order, so that two runs that write the same contracts don't deadlock.
        rows = sorted((contract_id, symbol, *terms) for contract_id, *terms in listed)
        # Not the day itself: UTC's begins before New York's has ended.
        expired_before = min(row[4] for row in listed).date() - timedelta(days=1) if listed else None
        replaced = {"symbol": symbol, "expirations": list(expirations), "expired_before": expired_before}

        def write(cursor: psycopg2.extensions.cursor) -> None:
            cursor.execute(sql_text("delete_robinhood_contracts"), replaced)
            if rows:
                execute_values(cursor, sql_text("upsert_robinhood_contracts"), rows, page_size=1000)

        self._database.run_transaction(write)

    def forget(self, symbol: str) -> None:
        """Drop all that is kept of a stock."""

        def write(cursor: psycopg2.extensions.cursor) -> None:
            cursor.execute("DELETE FROM robinhood_contracts WHERE symbol = %s", (symbol,))
            cursor.execute("DELETE FROM robinhood_chains WHERE symbol = %s", (symbol,))

        self._database.run_transaction(write)
