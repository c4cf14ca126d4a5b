"""`python -m serving.api`: run the API until SIGTERM or Ctrl-C.

Reads the settings from the environment (`contracts.settings`). Starts without a store, and serves it once it exists.
Ends with the error's exit code where it cannot run.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import uvicorn

from contracts.errors import PortTaken, TidemarkError
from contracts.settings import Settings
from infra import log
from serving.api.app import create_app


def main() -> int:
    """Run, and return the exit code."""
    log.configure("api")
    # uvicorn raises the signal again once all is answered; asked to end, we ended well.
    signal.signal(signal.SIGTERM, lambda _signum, _frame: sys.exit(0))
    try:
        run(Settings.from_env(os.environ))
    except TidemarkError as error:
        log.get("serving.api").error(str(error), remedy=error.remedy)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


def run(settings: Settings) -> None:
    """Serve until asked to stop; requests under way are answered first. Raises `PortTaken`, `SettingInvalid`."""
    with listening(settings.host, settings.api_port) as listener:
        config = uvicorn.Config(
            create_app(settings), log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=15
        )
        log.get("serving.api").info("API listens", host=settings.host, port=listener.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket bound to the address before anything else is started. Raises `PortTaken`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PortTaken(
            f"The API cannot listen on {host} port {port}: {error.strerror or error}.",
            "Stop what listens there, or set TIDEMARK_API_PORT (TIDEMARK_HOST) to another.",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
