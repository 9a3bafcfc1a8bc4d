"""`optsync robinhood`: the first login at Robinhood, with a person at the terminal. Later runs use its token."""

import sys
import time
from typing import TYPE_CHECKING

import click

from optsync_pipeline.cli.app import App, pass_app
from optsync_pipeline.cli.command import command, group
from optsync_pipeline.cli.errors import NOTHING_DONE, WRONG_USE, CommandError

if TYPE_CHECKING:
    from optsync_pipeline.providers.robinhood_account import RobinhoodAccount
    from optsync_pipeline.providers.robinhood_login import VerificationDemanded
    from optsync_pipeline.settings import Settings

MOST_TRIES = 3


@group("robinhood", examples="optsync robinhood login\noptsync robinhood logout")
def robinhood() -> None:
    """Log in at Robinhood, so that syncs can ask it."""


@command("login", examples="optsync robinhood login\noptsync robinhood login --wait 300")
@click.option("--wait", type=click.IntRange(10, 900), default=180, help="Seconds to wait for the approval (180).")
@pass_app
def login(app: App, wait: int) -> None:
    """Log in at Robinhood and keep the token for syncs.

    Uses OPTSYNC_ROBINHOOD_USERNAME, _PASSWORD and _MFA_SECRET, and asks for what is missing. Robinhood may want this
    device approved in its app, or send a code as SMS: then it waits for you. The token is kept with mode 0600 outside
    the checkout, in the folder that it names; your password is not kept. Syncs need user name and password in the
    settings all the same, for the day the token ends.
    """
    from optsync_pipeline.providers.base import AuthError, FetchError, RateLimited
    from optsync_pipeline.providers.robinhood_login import LoginRefused

    account = _account(app.settings)
    try:
        with account.folder.locked(patience_seconds=1):
            _log_in(account, wait)
    except RateLimited as error:
        raise CommandError(str(account.remember(error)), exit_code=NOTHING_DONE) from None
    except (LoginRefused, AuthError) as error:
        raise CommandError(str(error), exit_code=WRONG_USE) from None
    except FetchError as error:
        raise CommandError(f"{error}; run it again", exit_code=NOTHING_DONE) from None
    click.echo(f"logged in at Robinhood as {account.credentials.username}; the token is in {account.folder.path}")


@command("logout", examples="optsync robinhood logout")
@pass_app
def logout(app: App) -> None:
    """Delete the token kept here; Robinhood is not asked."""
    from optsync_pipeline.providers.base import AuthError
    from optsync_pipeline.providers.robinhood_tokens import TokenFolder

    settings = app.settings
    try:
        had_one = TokenFolder(
            settings.token_home, settings.robinhood_username or "", stand_in_url=settings.robinhood_url
        ).forget_token()
    except AuthError as error:
        raise CommandError(str(error), exit_code=NOTHING_DONE) from None
    click.echo("the token of Robinhood is deleted" if had_one else "there was no token of Robinhood")


robinhood.add_command(login)
robinhood.add_command(logout)


class AtTerminal:
    """Shows and asks on stderr, so that what a command prints stays what it is."""

    def tell(self, text: str) -> None:
        click.echo(text, err=True)

    def wait(self, seconds: float, seconds_left: float) -> None:
        end, deadline = time.monotonic() + seconds, time.monotonic() + seconds_left
        while (now := time.monotonic()) < end:
            if sys.stderr.isatty():
                click.echo(f"\rwaiting, {deadline - now:3.0f} s left ", err=True, nl=False)
            time.sleep(min(1.0, end - now))
        if sys.stderr.isatty():
            click.echo("\r\033[K", err=True, nl=False)

    def enter_code(self, question: str) -> str:
        code: str = click.prompt(question, err=True)
        return code


def _log_in(account: "RobinhoodAccount", patience_seconds: float) -> None:
    from optsync_pipeline.providers.robinhood_login import CodeDemanded, LoginRefused, VerificationDemanded

    person = AtTerminal()
    code: str | None = None
    codes = approvals = 0
    while True:
        try:
            account.log_in_once(code or account.credentials.code(account.clock()))
            return
        except VerificationDemanded as demand:
            if approvals == MOST_TRIES:
                raise
            approvals += 1
            _obtain_approval(account, person, demand, patience_seconds)
        except LoginRefused as refusal:
            # Without a code of the person's, a refusal is about user name and password.
            if code is None and not isinstance(refusal, CodeDemanded):
                raise
            if code is not None:
                person.tell("Robinhood does not accept this code.")
            if codes == MOST_TRIES:
                raise LoginRefused(
                    f"Robinhood did not accept the code of the authenticator app, {MOST_TRIES} times: check the clock"
                    " of the device that shows it, and run it again"
                ) from None
            codes += 1
            code = person.enter_code("Code of your authenticator app").strip()


def _obtain_approval(
    account: "RobinhoodAccount", person: AtTerminal, demand: "VerificationDemanded", patience_seconds: float
) -> None:
    from contextlib import closing

    from optsync_pipeline.providers.robinhood_approval import Approval
    from optsync_pipeline.providers.robinhood_http import RobinhoodHttp
    from optsync_pipeline.providers.robinhood_login import new_device_token

    with closing(RobinhoodHttp(account.stand_in_url, account.timeout)) as http:
        device = account.folder.device_token(new_device_token)
        Approval(http, person, patience_seconds=patience_seconds).obtain(device, demand.workflow_id)


def _account(settings: "Settings") -> "RobinhoodAccount":
    from pydantic import SecretStr

    from optsync_pipeline.providers.robinhood_account import RobinhoodAccount
    from optsync_pipeline.providers.robinhood_login import Credentials

    username, password = settings.robinhood_username, settings.robinhood_password
    if not (username and password) and not sys.stdin.isatty():
        raise CommandError(
            "no credentials, and no terminal to ask for them: set OPTSYNC_ROBINHOOD_USERNAME and"
            " OPTSYNC_ROBINHOOD_PASSWORD"
        )
    username = username or click.prompt("Robinhood user name (your e-mail)", err=True)
    password = password or SecretStr(click.prompt("Robinhood password", hide_input=True, err=True))
    credentials = Credentials(username, password, settings.robinhood_mfa_secret)
    return RobinhoodAccount(credentials, settings.token_home, stand_in_url=settings.robinhood_url)
