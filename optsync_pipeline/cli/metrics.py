"""`optsync metrics`: Prometheus' text and a health check over HTTP, until it is stopped."""

import sys

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command
from optsync_pipeline.cli.errors import CommandError


@command("metrics", examples="optsync metrics\noptsync metrics --port 9500 --host 0.0.0.0")
@click.option("--port", type=click.IntRange(1, 65535), help="Port.  [default: OPTSYNC_METRICS_PORT]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@pass_app
def metrics(app: App, port: int | None, host: str) -> None:
    """Serve /metrics for Prometheus and /health until Ctrl-C.

    Starts no database: while there is none, optsync_up is 0 and /health says why. Whoever reaches the address can read
    all of it, which holds no secret and no quote.
    """
    from optsync_pipeline.metrics.server import serve_metrics

    port = port or app.settings.metrics_port
    try:
        serve_metrics(app.settings, host, port, told=_tell)
    except OSError as error:
        raise CommandError(
            f"port {port} on {host} cannot be had ({error.strerror}): free it, or give another with "
            f"`optsync metrics --port {port + 1 if port < 65535 else port - 1}` or OPTSYNC_METRICS_PORT"
        ) from None


def _tell(url: str) -> None:
    click.echo(f"metrics are at {url}/metrics, health is at {url}/health")
    sys.stdout.flush()
