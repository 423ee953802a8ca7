"""The addresses behind a host name, so that one that says nothing does not take the turns of the others."""

import socket


def addresses_of(host: str) -> list[dict[str, str]]:
    """Return libpq's ``hostaddr`` for each address of a name; what is no name, or has none, is left to libpq."""
    if not host or host.startswith(("/", "@")):  # sockets
        return [{}]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return [{}]
    return [{"hostaddr": address} for address in dict.fromkeys(str(each[4][0]) for each in found)]
