"""``neverdrop up --tunnel``: a public URL by a tunnel program that is installed here."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from app.dev.processes import Program
from app.errors import NeverdropError

NAME = "tunnel"
GRACE_SECONDS = 5
# Of the environment, how the names of what tunnel programs read begin
OWN_VARIABLES = (
    "NGROK_",
    "TUNNEL_",
    "SSH_",
    "XDG_",
    "USER",
    "LOGNAME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


class NoTunnelError(NeverdropError):
    """No tunnel program is installed; the text says which would do."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel program: what runs it for a port, and how it shows its URL."""

    program: str
    arguments: str
    url: "re.Pattern[str]"


# In the order of preference: the first two keep a URL for as long as they run, and need no account or a free one
TUNNELS = (
    Tunnel(
        "cloudflared",
        "tunnel --no-autoupdate --url http://127.0.0.1:{port}",
        re.compile(r"https://[a-z0-9-]+\.trycloudflare\.com"),
    ),
    Tunnel(
        "ngrok",
        "http {port} --log stdout --log-format logfmt",
        re.compile(r"(?<=url=)https://[a-zA-Z0-9.-]+"),
    ),
    Tunnel(
        "ssh",
        "-o StrictHostKeyChecking=accept-new -o ServerAliveInterval=30 -o ExitOnForwardFailure=yes"
        " -R 80:127.0.0.1:{port} nokey@localhost.run",
        re.compile(r"https://[a-z0-9-]+\.lhr\.life"),
    ),
)


def find_tunnel(wanted: str | None = None) -> Tunnel:
    """Return the tunnel of this name, else the first that is installed; NoTunnelError if there is none."""
    names = [each.program for each in TUNNELS]
    found = next((each for each in _choice(wanted) if shutil.which(each.program)), None)
    if found is None:
        missing = wanted or f"none of {', '.join(names)}"
        raise NoTunnelError(
            f"--tunnel: {missing} is installed. Install cloudflared (it needs no account) or ngrok, or make a public"
            " https URL that leads to this port in another way"
        )
    return found


def _choice(wanted: str | None) -> Iterator[Tunnel]:
    return (each for each in TUNNELS if wanted in (None, each.program))


def program_of(tunnel: Tunnel, port: int) -> Program:
    """Return what runs the tunnel to a port of this machine; of the environment it sees what is its own."""
    argv = (tunnel.program, *tunnel.arguments.format(port=port).split())
    own = {name: value for name, value in os.environ.items() if name.upper().startswith(OWN_VARIABLES)}
    return Program(NAME, argv, own, grace_seconds=GRACE_SECONDS, foreign=True)


def advice(url: str, verify_token: str) -> list[str]:
    """Return what is to be entered at Meta, in lines."""
    return [
        f"{'public URL':<13} {url}",
        f"{'at Meta':<13} your app > WhatsApp > Configuration: callback URL {url}/webhook,",
        f"{'':<13} verify token {verify_token}; then subscribe to the field messages",
    ]
