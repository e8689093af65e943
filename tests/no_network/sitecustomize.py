"""Refuse every socket beyond the loopback and AF_UNIX. On `PYTHONPATH` of the test run, subprocesses included."""

import socket


_LOOPBACK = ("127.", "::1", "localhost")
_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


class NetworkBlockedError(OSError):
    """A test tried to leave this machine."""


def _check(family, address):
    if family == getattr(socket, "AF_UNIX", None):
        return
    host = str(address[0]) if isinstance(address, tuple) else str(address)
    if not host.startswith(_LOOPBACK):
        raise NetworkBlockedError(f"tests may not reach {host}")


def connect(self, address):
    _check(self.family, address)
    return _connect(self, address)


def connect_ex(self, address):
    _check(self.family, address)
    return _connect_ex(self, address)


def getaddrinfo(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    if name not in (None, "", socket.gethostname()) and not str(name).startswith((*_LOOPBACK, "0.0.0.0", "::")):
        raise NetworkBlockedError(f"tests may not look up {name}")
    return _getaddrinfo(host, *args, **kwargs)


socket.socket.connect = connect
socket.socket.connect_ex = connect_ex
socket.getaddrinfo = getaddrinfo
