"""Yahoo's doorkeeping: the cookie, the crumb and the consent pages that yfinance goes through before it asks for data.

Cookie and crumb are the same for every client of a sandbox: which crumb belongs to which cookie is not modelled, so
that a second client cannot make the first one's crumb wrong.
"""

import hashlib
import time
from email.utils import formatdate

from optsync_pipeline.sandbox.replies import Reply
from optsync_pipeline.sandbox.yahoo import error_reply

_COOKIE_SECONDS = 365 * 86_400
_CONSENT_SESSION = "3_cc-session_sandbox"


class YahooAccess:
    """The cookie and the crumb of one sandbox."""

    def __init__(self, seed: int) -> None:
        digest = hashlib.blake2b(f"{seed}/yahoo".encode(), digest_size=24).hexdigest()
        self._cookie = f"d=AQABB{digest[:32]}&S=AQAAA{digest[32:]}"
        self.crumb = digest[:11]

    def cookie_page(self) -> Reply:
        """Return what fc.yahoo.com answers: an error that nobody reads, and the cookie."""
        return Reply(404, b"", "text/html", self._set_cookie())

    def crumb_for(self, cookie: str | None) -> Reply:
        """Return the crumb to who holds the cookie A3."""
        if cookie != self._cookie:
            return error_reply("finance", 401, "Unauthorized", "Invalid Cookie")
        return Reply(200, self.crumb.encode(), "text/plain")

    def invalid_crumb(self) -> Reply:
        """Return what a wrong or missing crumb gets."""
        return error_reply("finance", 401, "Unauthorized", "Invalid Crumb")

    def consent_page(self) -> Reply:
        """Return the consent form, whose fields yfinance sends back."""
        page = (
            '<html><body><form method="post" action="https://consent.yahoo.com/v2/collectConsent?sessionId='
            f'{_CONSENT_SESSION}"><input type="hidden" name="csrfToken" value="{self.crumb}">'
            f'<input type="hidden" name="sessionId" value="{_CONSENT_SESSION}">'
            '<input type="hidden" name="originalDoneUrl" value="https://finance.yahoo.com/">'
            '<input type="hidden" name="namespace" value="yahoo">'
            '<button type="submit" name="agree" value="agree">Accept all</button></form></body></html>'
        )
        return Reply(200, page.encode(), "text/html")

    def consent_given(self) -> Reply:
        """Return what follows consent: the cookie."""
        return Reply(200, b"<html><body>Thank you.</body></html>", "text/html", self._set_cookie())

    def _set_cookie(self) -> dict[str, str]:
        # By the wall clock, whatever moment the market shows: the client's cookie jar goes by it. Without Expires,
        # yfinance's next look-up of its stored cookie raises a TypeError.
        expires = formatdate(time.time() + _COOKIE_SECONDS, usegmt=True)
        value = f"A3={self._cookie}; Expires={expires}; Max-Age={_COOKIE_SECONDS}; Domain=.yahoo.com; Path=/"
        return {"Set-Cookie": f"{value}; SameSite=None; Secure; HttpOnly"}
