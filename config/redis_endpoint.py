"""One REDIS_URL, read once, for the broker, redis-py and Flower. Pure: no I/O.

kombu lets the URL's own ``ssl_*`` parameters silently override ``broker_use_ssl``, redis-py spells them
differently, and Flower reads only ``broker_use_ssl``. So they are taken out of the URL here and handed to
each client as the same dict. A Unix socket, too, has one name for redis-py and another for kombu and Flower.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

CERT_REQS = {
    "none": ssl.CERT_NONE,
    "cert_none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "cert_optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
    "cert_required": ssl.CERT_REQUIRED,
}
# A peer that vanished without a word is noticed after about 25 seconds. By itself SO_KEEPALIVE waits two hours, and
# looks at no connection that has sent bytes which nobody acknowledged: those are what TCP_USER_TIMEOUT is for.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}
KEEPALIVE = {
    getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)
}  # a platform that lacks one does without


@dataclass(frozen=True, slots=True)
class RedisEndpoint:
    """``url`` (redis-py's) without any ``ssl_*`` parameter; ``ssl`` is empty for a plain connection."""

    url: str
    ssl: dict[str, Any]

    @property
    def broker_url(self) -> str:
        """The same for kombu and Flower."""
        return self.url.replace("unix://", "redis+socket://", 1) if self.is_socket else self.url

    @property
    def keepalive(self) -> dict[str, Any]:
        """redis-py's and kombu's options to notice a peer that vanished; a Unix socket's peer cannot, and has none."""
        return {} if self.is_socket else {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}

    @property
    def is_socket(self) -> bool:
        """Whether it is reached by a path of this machine."""
        return self.url.startswith("unix://")

    @classmethod
    def parse(cls, url: str) -> "RedisEndpoint":
        """Split a ``redis://``, ``rediss://`` or ``unix://`` URL; ValueError names what is wrong with it."""
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return cls(_socket(url, parts), {})
        if parts.scheme not in ("redis", "rediss"):
            scheme = parts.scheme or "nothing"
            raise ValueError(f"must start with redis://, rediss:// or unix://, not {scheme}://")
        options = dict(parse_qsl(parts.query))
        tls = {name: options.pop(name) for name in list(options) if name.startswith("ssl_")}
        bare = urlunsplit(parts._replace(query=urlencode(options)))
        if parts.scheme != "rediss":
            if tls:
                raise ValueError("has ssl_* parameters but is not rediss://")
            return cls(bare, {})
        return cls(bare, _tls_options(tls))


def _socket(url: str, parts: SplitResult) -> str:
    """Flower takes a password and nothing else by a socket: no user, no other database, no quoted path."""
    if parts.hostname or parts.username or parts.query or "%" in parts.path or not parts.path.strip("/"):
        raise ValueError("by a socket must be unix:///path/to/socket or unix://:password@/path/to/socket")
    return url


def _tls_options(tls: dict[str, str]) -> dict[str, Any]:
    wanted = tls.pop("ssl_cert_reqs", "required").lower()
    if wanted not in CERT_REQS:
        raise ValueError(f"ssl_cert_reqs must be none, optional or required, not {wanted!r}")
    requirement = CERT_REQS[wanted]
    options: dict[str, Any] = {"ssl_cert_reqs": requirement}
    if requirement is ssl.CERT_NONE:
        options["ssl_check_hostname"] = False
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if name in tls:
            options[name] = tls.pop(name)
    if "ssl_check_hostname" in tls:
        options["ssl_check_hostname"] = tls.pop("ssl_check_hostname").lower() in ("1", "true", "yes")
    if tls:
        raise ValueError(f"has unknown parameters: {', '.join(sorted(tls))}")
    return options
