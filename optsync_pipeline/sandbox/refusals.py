"""A refusal in each vendor's own words: the body of a status that is no success."""

import orjson

from optsync_pipeline.sandbox.replies import Reply

_HTML = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Will be right back</h1></body></html>"
# Of Polygon's, only that each is a JSON object with a status is known from its client; the wording is ours.
_ROBINHOOD = {
    400: "Invalid request.",
    401: "Incorrect authentication credentials.",
    403: "You do not have permission to perform this action.",
    404: "Not found.",
    414: "Request-URI Too Long",
    429: "Request was throttled.",
}
_POLYGON = {
    400: ("ERROR", "error", "The request is not valid."),
    401: ("ERROR", "error", "Unknown API Key"),
    403: ("NOT_AUTHORIZED", "message", "You are not entitled to this data. Please upgrade your plan."),
    404: ("NOT_FOUND", "message", "Underlying not found."),
    429: ("ERROR", "error", "You've exceeded the maximum requests per minute."),
}


def html_page(status: int) -> Reply:
    """Return the page of a gateway, which is the same everywhere."""
    return Reply(status, _HTML, "text/html")


def robinhood_refusal(status: int, detail: str | None = None) -> Reply:
    """Return Robinhood's JSON for a refusal."""
    return Reply(status, orjson.dumps({"detail": detail or _ROBINHOOD[status]}))


def polygon_refusal(status: int, said: str | None = None) -> Reply:
    """Return Polygon's JSON for a refusal."""
    word, key, usually = _POLYGON.get(status, ("ERROR", "error", "Something went wrong."))
    return Reply(status, orjson.dumps({"status": word, "request_id": "sandbox", key: said or usually}))


def refusal(provider: str, status: int) -> Reply:
    """Return what the provider answers with this status: its JSON where it has one, else a page."""
    if provider == "robinhood" and status in _ROBINHOOD:
        return robinhood_refusal(status)
    if provider == "polygon" and status in _POLYGON:
        return polygon_refusal(status)
    if status == 429:
        return Reply(429, b"Too Many Requests\r\n", "text/plain")
    return html_page(status)
