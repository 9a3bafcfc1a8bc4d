"""Which incidents go out together, and what a message says: one each, or one for all where there are many.

A text has at most 1,900 characters, which the tightest of the usual services (Discord: 2,000) takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

FLOOD = 3
"""More at once are told in one message."""

LONGEST_TEXT = 1900
MORE = "More: optsync alerts list"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be told of an incident now: its opening, its end, or both where it ended before it was told.

    is_news: it is no trouble (a summary). taken_by: the services that need not be told any more.
    """

    alert_id: int
    title: str
    body: str
    tells_opening: bool
    tells_end: bool
    taken_by: frozenset[str]
    is_news: bool = False

    @property
    def kind(self) -> Literal["info", "warning", "success"]:
        """How a service marks the message."""
        if self.is_news:
            return "info"
        return "success" if self.tells_end else "warning"


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a service. kind: how it is marked there. alert_ids: the incidents that it tells."""

    title: str
    body: str
    kind: str
    alert_ids: tuple[int, ...] = ()


def part_of(row: Row) -> Part:
    """Return what is to be told of a claimed row of alerts_sent."""
    taken_by = frozenset(row["taken_by"])
    title, body, resolution = row["title"], row["body"], row["resolution"]
    if row["delivered_at"] is not None:
        text = f"{resolution}\nIt was: {title}, found at {row['opened_at']:%Y-%m-%d %H:%M %Z}."
        return Part(row["alert_id"], f"resolved: {title}", text, False, True, taken_by)
    if resolution is not None and not taken_by:
        return Part(
            row["alert_id"], f"over already: {title}", f"{body}\nSince then: {resolution}", True, True, taken_by
        )
    return Part(row["alert_id"], title, body, True, False, taken_by, is_news=row["rule"] == "sync_finished")


def messages_of(parts: Sequence[Part]) -> list[Message]:
    """Return the messages that tell the parts."""
    if len(parts) > FLOOD:
        return [_digest(parts)]
    return [Message(f"optsync: {part.title}", _cut(part.body), part.kind, (part.alert_id,)) for part in parts]


def _digest(parts: Sequence[Part]) -> Message:
    """Tell many incidents in one text: each with its title and its figure, then what else there is to say, once."""
    heads, details = [], []
    for part in parts:
        figure, *rest = part.body.splitlines()
        heads.append(f"* {part.title}: {figure}")
        details += [line for line in rest if line not in details]
    kind = max((part.kind for part in parts), key=["success", "info", "warning"].index)
    title = f"optsync: {len(parts)} alerts at once"
    ids = tuple(part.alert_id for part in parts)
    return Message(title, _cut("\n".join([*heads, "", *details, MORE])), kind, ids)


def _cut(text: str) -> str:
    """Shorten a text by whole lines from its middle end; its last line, the command, stays."""
    if len(text) <= LONGEST_TEXT:
        return text
    *lines, last = text.splitlines()
    last = last[:200]
    kept: list[str] = []
    room = LONGEST_TEXT - len(last) - len(MORE) - 10
    for line in lines:
        if len(line) > room:
            kept.append(line[:room])
            break
        kept.append(line)
        room -= len(line) + 1
    return "\n".join([*kept, "...", *([MORE] if last != MORE else []), last])
