"""`optsync sandbox`: the local market that speaks the vendors' protocols, in the foreground."""

from pathlib import Path

import click

from optsync_pipeline.cli.command import command


@command(
    "sandbox",
    examples="""
    optsync sandbox
    optsync sandbox --symbols 1205 --latency 0.08
    optsync sandbox --recorded ../shared/market --port 9001
    """,
)
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0: any free one.")
@click.option(
    "--symbols", type=click.IntRange(1, 20_000), default=240, show_default=True, help="How many stocks to invent."
)
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed is the same market.")
@click.option("--latency", type=click.FloatRange(0), default=0.0, show_default=True, help="Seconds before each reply.")
@click.option("--fault", "faults", multiple=True, metavar="PROVIDER:SYMBOL:KIND", help="A fault from the start on.")
@click.option(
    "--recorded",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Serve the recorded chains of this folder instead, their dates shifted by whole weeks to today.",
)
def sandbox(port: int, symbols: int, seed: int, latency: float, faults: tuple[str, ...], recorded: Path | None) -> None:
    """Run a sandbox market. IT IS NOT A REAL MARKET.

    It speaks the protocols of Robinhood, Yahoo, Polygon and Cboe, listens on this machine alone, and says how to point
    the sync at it and how to order faults while it runs.
    """
    from optsync_pipeline.sandbox.server import run

    run(port=port, symbols=symbols, seed=seed, latency_seconds=latency, recorded_dir=recorded, faults=faults)
