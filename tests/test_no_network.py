"""The block on the network holds here and in every subprocess."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest


OUTSIDE = "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)"
LOOPBACK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname(), timeout=5)
left, right = socket.socketpair()
"""


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "example.org"])
def test_outside_addresses_are_refused(address):
    with pytest.raises(OSError, match="tests may not"):
        socket.create_connection((address, 80), timeout=5)


def test_urllib_is_refused_too():
    with pytest.raises(urllib.error.URLError, match="tests may not"):
        urllib.request.urlopen("http://example.org", timeout=5)


def test_subprocesses_are_blocked_and_keep_the_loopback():
    blocked = subprocess.run([sys.executable, "-c", OUTSIDE], capture_output=True, text=True, check=False)
    assert blocked.returncode == 1
    assert "NetworkBlockedError" in blocked.stderr
    subprocess.run([sys.executable, "-c", LOOPBACK], check=True)
