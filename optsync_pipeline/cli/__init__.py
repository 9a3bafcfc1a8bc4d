"""The command line. One file a command group; each imports what it needs when it runs, so that --help is instant.

errors, app, command, output    how a command ends, what commands share, how lists are shown
database, environment           db, env
stocks, stock_lists, lists/     stocks import, add, remove, list
watchlists, tradingview         watchlist create, add, remove, list, import
refresh                         a stock asked for now, by whoever runs the daemon
sync, choosing, retry           a sync, and which stocks it asks
progress, summary               what is seen while it runs, what is said at its end
cancel                          its end, asked for from another terminal
status, job_view, watching      what runs, how far it is, and what became of syncs
checks                          what the data checks last found
rankings                        what they are for
export, files                   a sync's results as a file; how files are written
providers, provider_states      the vendors: limits, breakers, health
services, processes             up, down
metrics                         /metrics and /health over HTTP
robinhood                       its first login
alerts                          who is told what, unasked
demo, sandbox                   the sandbox market, and the whole tour on it
doctor                          what is wrong here and how to mend it
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from optsync_pipeline.cli.alerts import alerts
from optsync_pipeline.cli.app import App
from optsync_pipeline.cli.cancel import cancel
from optsync_pipeline.cli.checks import checks
from optsync_pipeline.cli.command import group
from optsync_pipeline.cli.database import db
from optsync_pipeline.cli.demo import demo
from optsync_pipeline.cli.doctor import doctor
from optsync_pipeline.cli.environment import env
from optsync_pipeline.cli.errors import OK, ending_of
from optsync_pipeline.cli.export import export
from optsync_pipeline.cli.metrics import metrics
from optsync_pipeline.cli.providers import providers
from optsync_pipeline.cli.rankings import rankings
from optsync_pipeline.cli.refresh import refresh
from optsync_pipeline.cli.retry import retry
from optsync_pipeline.cli.robinhood import robinhood
from optsync_pipeline.cli.sandbox import sandbox
from optsync_pipeline.cli.services import down, up
from optsync_pipeline.cli.status import status
from optsync_pipeline.cli.stocks import stocks
from optsync_pipeline.cli.sync import sync
from optsync_pipeline.cli.watchlists import watchlist


@group(
    "optsync",
    examples="""
    optsync demo
    optsync stocks add AAPL MSFT BRK.B
    optsync sync --all
    optsync rankings --limit 20
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="optsync-pipeline", message="%(prog)s %(version)s")
def optsync() -> None:
    """Sync US option chains into PostgreSQL and rank the premiums an option seller could collect.

    Begin with `optsync demo`: it shows everything on a sandbox market. Then `optsync stocks import FILE`, `optsync sync
    --all`, `optsync rankings`; or `optsync up` for the web UI and the daily schedule.
    """


PARTS = (
    demo,
    up,
    down,
    stocks,
    watchlist,
    sync,
    refresh,
    retry,
    cancel,
    status,
    checks,
    rankings,
    export,
    providers,
    robinhood,
    alerts,
    metrics,
    doctor,
    db,
    env,
    sandbox,
)
for part in PARTS:
    optsync.add_command(part)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. No error leaves it as a traceback, unless --debug asks for one."""
    app = App()
    _take_signals()
    try:
        result = optsync.main(arguments, "optsync", standalone_mode=False, obj=app)
        sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.message, err=True)
        return error.exit_code
    except (BrokenPipeError, SystemExit):  # SystemExit is what click makes of a broken pipe
        return _end_quietly()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost place: nothing is behind it
        if app.debug:
            traceback.print_exception(error)
        ending = ending_of(error)
        click.echo(f"optsync: error: {ending.message}", err=True)
        return ending.exit_code
    finally:
        app.close()


def _take_signals() -> None:
    # A script's background jobs begin with Ctrl-C ignored, and could not be stopped cleanly. nohup stays as it is.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hang_up)


def _hang_up(signal_number: int, frame: FrameType | None) -> None:
    # Whoever handles SIGTERM at the moment (a sync that is to end cleanly) handles a closed terminal too.
    signal.raise_signal(signal.SIGTERM)


def _end_quietly() -> int:
    """End as `head` and its like expect of a writer: the reader has what it wanted."""
    # Python flushes stdout once more at its end, which must not find the broken pipe again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
