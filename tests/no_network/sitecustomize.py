"""Refuses what would leave this machine; Python imports a module of this name at its start.

`conftest.py` runs it in the process of the tests, and has it on the path of all that those start.
"""

import ipaddress
import socket
import sys

#: What Python tells of before it happens, and where in its arguments the other end is.
CALLS = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}
LOOK_UPS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}


class NetworkError(RuntimeError):
    """A test wants to reach another machine. No handler of broken connections takes this for one."""


def is_own(host: object) -> bool:
    """Return whether a host is this machine: it has no name, one of its own, or an address that does not leave it."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Hold an event of Python's against what is allowed: this machine, by IP or by files (AF_UNIX)."""
    if event in CALLS:
        address = arguments[CALLS[event]]
        is_ip = getattr(arguments[0], "family", None) in (socket.AF_INET, socket.AF_INET6)
        host = address[0] if is_ip and isinstance(address, tuple) else None
    elif event in LOOK_UPS:
        host = arguments[LOOK_UPS[event]]
    else:
        return
    if not is_own(host):
        raise NetworkError(f"Tests reach this machine only. Received: {event} to {host!r}.")


sys.addaudithook(refuse)
