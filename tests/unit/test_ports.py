"""Every server whose port another program holds says so, says what to do, and ends with a code no restart cures."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import PortTaken

SERVERS = {
    "speed_layer.collector": "COLLECTOR_PORT",
    "serving.api": "API_PORT",
    "speed_layer.live_main": "METRICS_PORT_LIVE",
    "speed_layer.bronze": "METRICS_PORT_BRONZE",
}


@pytest.mark.parametrize("module", SERVERS)
def test_a_port_in_use_is_said(module: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        variable = f"TIDEMARK_{SERVERS[module]}"
        own = {"TIDEMARK_HOME": str(tmp_path), variable: str(taken.getsockname()[1])}
        argv = [sys.executable, "-m", module]
        ended = subprocess.run(argv, env={**os.environ, **own}, capture_output=True, text=True, timeout=60, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == PortTaken.exit_code, said
    assert "cannot listen" in said
    assert variable in said


def test_up_says_which_port_is_taken_before_it_starts_anything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = {"TIDEMARK_HOME": str(tmp_path), "TIDEMARK_KAFKA_PORT": str(taken.getsockname()[1])}
        argv = [sys.executable, "-m", "infra.cli", "up"]
        ended = subprocess.run(argv, env={**os.environ, **own}, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == PortTaken.exit_code, ended.stderr
    assert "KAFKA_PORT" in ended.stdout + ended.stderr
    assert not (tmp_path / "kafka").exists()
