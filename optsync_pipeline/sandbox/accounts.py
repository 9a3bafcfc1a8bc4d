"""Who may ask the sandbox's Robinhood and Polygon: one account each, the same in every sandbox, none of it secret."""

import base64
import hashlib
import hmac

ROBINHOOD_USERNAME = "wheel@example.com"
ROBINHOOD_PASSWORD = "sandbox-password"  # pragma: allowlist secret
ROBINHOOD_MFA_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # pragma: allowlist secret
ROBINHOOD_SMS_CODE = "424242"
POLYGON_API_KEY = "sandbox-key"  # pragma: allowlist secret

_STEP_SECONDS = 30
_DIGITS = 6
# A code of the step before or after is taken, for clocks that differ and for codes that were typed slowly.
_STEPS_OFF = (-1, 0, 1)


def is_mfa_code(code: str, epoch_seconds: float) -> bool:
    """Whether `code` is the account's one-time code at that moment (RFC 6238)."""
    step = int(epoch_seconds) // _STEP_SECONDS
    return any(hmac.compare_digest(code.encode(), mfa_code(step + off).encode()) for off in _STEPS_OFF)


def mfa_code(step: int) -> str:
    """Return the account's code of the step-th half minute since 1970."""
    # Written out, not pyotp's: a client that uses pyotp wrongly must not be understood because both sides err alike.
    digest = hmac.digest(base64.b32decode(ROBINHOOD_MFA_SECRET), step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"
