"""A database served by the real web process on loopback."""

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

PATIENCE_S = 60


@contextmanager
def served(database_url, data):
    """Serve a database's pages from a process of their own on loopback; give the address."""
    port = free_port()
    passed_on = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    environment = passed_on | {"DATABASE_URL": database_url, "ENTREPOT_PORT": str(port), "ENTREPOT_DATA": str(data), "ENTREPOT_LOG_LEVEL": "warning"}
    with subprocess.Popen([sys.executable, "-P", "-m", "entrepot.cli.main", "_web"], env=environment) as process:
        try:
            until = time.monotonic() + PATIENCE_S
            while not is_healthy(port):
                assert process.poll() is None, "the web process ended"
                assert time.monotonic() < until, "the web process does not answer"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def living(data):
    """Run a whole installation with its demonstration world and default settings, as `make run` does; give the address once the web answers."""
    passed_on = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("ENTREPOT_")}
    command = [sys.executable, "-P", "-m", "entrepot.cli.main", "up", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, env=passed_on, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Entrepot is running: "), line
            yield line.split(": ", 1)[1].strip().rstrip("/")
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
