"""One REDIS_URL, read once, for the broker, redis-py and Flower. Pure: no I/O.

kombu lets the URL's own ``ssl_*`` parameters silently override ``broker_use_ssl``, redis-py spells them
differently, and Flower reads only ``broker_use_ssl``. So they are taken out of the URL here and handed to
each client as the same dict.
"""

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

CERT_REQS = {
    "none": ssl.CERT_NONE,
    "cert_none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "cert_optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
    "cert_required": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class RedisEndpoint:
    """``url`` without any ``ssl_*`` parameter; ``ssl`` is empty for a plain connection."""

    url: str
    ssl: dict[str, Any]

    @classmethod
    def parse(cls, url: str) -> "RedisEndpoint":
        """Split a ``redis://`` or ``rediss://`` URL; ValueError names what is wrong with it."""
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss"):
            raise ValueError(f"must start with redis:// or rediss://, not {parts.scheme or 'nothing'}://")
        options = dict(parse_qsl(parts.query))
        tls = {name: options.pop(name) for name in list(options) if name.startswith("ssl_")}
        bare = urlunsplit(parts._replace(query=urlencode(options)))
        if parts.scheme != "rediss":
            if tls:
                raise ValueError("has ssl_* parameters but is not rediss://")
            return cls(bare, {})
        return cls(bare, _tls_options(tls))


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
