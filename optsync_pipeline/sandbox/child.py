"""The process that `running.sandbox_process` starts: a line of JSON on its output says where it serves, or why not."""

import json
import sys
from pathlib import Path

from optsync_pipeline.sandbox.model import Market
from optsync_pipeline.sandbox.pointing import Address
from optsync_pipeline.sandbox.server import run
from optsync_pipeline.sandbox.serving import SandboxError


def main(arguments: str) -> int:
    """Serve until standard input closes or a signal comes."""
    wish = json.loads(arguments)
    wish["recorded_dir"] = Path(wish["recorded_dir"]) if wish["recorded_dir"] else None
    try:
        run(**wish, ready=_tell_address, until_stdin_closes=True)
    except SandboxError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return error.exit_code
    return 0


def _tell_address(market: Market, address: Address) -> None:
    print(json.dumps({"host": address.host, "port": address.port}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
