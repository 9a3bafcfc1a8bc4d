"""One limit, shared by many processes; and a PostgreSQL that is killed under them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.embedded import EmbeddedPostgres
from optsync_pipeline.storage.migrations import apply_migrations
from optsync_pipeline.storage.provider_limits import ProviderLimits

PROCESSES = 8
PER_MINUTE = 1200
BURST = 10
SECONDS = 4.0
PACE = PER_MINUTE / 1.02 / 60
"""Tokens a second: 2 % below the limit."""

# Prints, for each token, when its time came and when the request went out. Starts with the others, at a given time.
TAKER = """
import json, sys, time
from optsync_pipeline.storage.database import Database
from optsync_pipeline.storage.provider_limits import ProviderLimits

limits = ProviderLimits(Database(sys.argv[1]))
limits.take(["yahoo"], max_wait_seconds=-1)  # connects, and takes nothing
print("ready", flush=True)
begin = float(sys.stdin.readline())
time.sleep(max(0, begin - time.time()))
stamps = []
while time.time() < begin + float(sys.argv[2]):
    offer = limits.take(["yahoo"])
    due = time.time() + offer.wait_seconds
    time.sleep(offer.wait_seconds)
    stamps.append((due, time.time()))
    limits.note_success("yahoo")
limits.close()
print(json.dumps(stamps))
"""


def test_eight_processes_keep_one_limit_and_use_it(database: Database, database_url: str) -> None:
    limits = ProviderLimits(database)
    limits.declare("yahoo", PER_MINUTE, 1_000_000)
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, database_url, str(SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        stamps = _run_together(takers)
    finally:
        for taker in takers:
            taker.kill()
            taker.communicate()

    due = sorted(stamp[0] for stamp in stamps)
    assert _most_within_a_second(due) <= PER_MINUTE / 60 + BURST + 1
    assert _most_within_a_second(sorted(stamp[1] for stamp in stamps)) <= PER_MINUTE / 60 + BURST + 1
    # From the tokens' times: how late a loaded machine woke up says nothing about the limit.
    assert len(due) - 1 >= 0.95 * PACE * (due[-1] - due[0])
    (state,) = limits.read()
    assert (state.total_requests, state.rate_limited_count) == (len(stamps), 0)
    limits.close()


def _run_together(takers: list["subprocess.Popen[str]"]) -> list[tuple[float, float]]:
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    begin = f"{time.time() + 0.2}\n"
    outputs: list[str] = []

    def talk(taker: "subprocess.Popen[str]") -> None:
        outputs.append(taker.communicate(begin)[0])

    threads = [threading.Thread(target=talk, args=(taker,)) for taker in takers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [(due, sent) for output in outputs for due, sent in json.loads(output)]


def _most_within_a_second(ordered: list[float]) -> int:
    first, most = 0, 0
    for last, stamp in enumerate(ordered):
        while ordered[first] <= stamp - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_a_postgresql_that_is_killed_and_comes_back_is_survived(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "home", system_folder=open_folder / "system")
    try:
        database = Database(server.ensure_running())
        apply_migrations(database)
        limits = ProviderLimits(database)
        limits.declare("yahoo", 5, 300)
        limits.take(["yahoo"])

        _kill(server)
        restart = threading.Timer(0.8, server.ensure_running)
        restart.start()
        offer = limits.take(["yahoo"])
        restart.join()

        assert offer.taken
        assert offer.wait_seconds <= 12.24
        limits.close()
        database.close()
    finally:
        server.stop()


def _kill(server: EmbeddedPostgres) -> None:
    process_id = server.status().process_id
    assert process_id is not None
    family = [psutil.Process(process_id), *psutil.Process(process_id).children(recursive=True)]
    for member in family:
        os.kill(member.pid, signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)
