"""One REDIS_URL for every client."""

import ssl

import pytest
from flower.utils.broker import Broker as Flowers
from kombu import Connection
from redis import Redis

from config.redis_endpoint import RedisEndpoint


@pytest.mark.parametrize(
    "url",
    ["redis://localhost:6379/0", "redis://:p%40ss@[::1]:6380/3", "redis://u:p@h/0?health_check_interval=5"],
)
def test_a_plain_url_stays_what_it_is(url: str) -> None:
    assert RedisEndpoint.parse(url) == RedisEndpoint(url, {})


def test_tls_checks_the_certificate_unless_told_otherwise() -> None:
    assert RedisEndpoint.parse("rediss://h").ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


@pytest.mark.parametrize("word", ["none", "CERT_NONE"])
def test_tls_without_a_check_does_not_check_the_name_either(word: str) -> None:
    """Managed Redis with a certificate of its own, as Heroku has it."""
    endpoint = RedisEndpoint.parse(f"rediss://:p@h:6380/1?ssl_cert_reqs={word}")
    assert endpoint.url == "rediss://:p@h:6380/1"
    assert endpoint.ssl == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}


def test_files_of_certificates_are_taken_out_of_the_url_and_other_options_stay() -> None:
    endpoint = RedisEndpoint.parse("rediss://h/0?ssl_ca_certs=/ca.pem&ssl_check_hostname=false&client_name=x")
    assert endpoint.url == "rediss://h/0?client_name=x"
    assert endpoint.ssl == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_ca_certs": "/ca.pem",
        "ssl_check_hostname": False,
    }


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("localhost:6379", "must start with redis://"),
        ("http://h", "must start with redis://, rediss:// or unix://, not http://"),
        ("redis://h?ssl_cert_reqs=none", "is not rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs must be none, optional or required, not 'maybe'"),
        ("rediss://h?ssl_ca_crets=/ca.pem", "unknown parameters: ssl_ca_crets"),
        ("unix://run/redis.sock", "must be unix:///path/to/socket"),
        ("unix://user:p@/run/redis.sock", "must be unix:///path/to/socket"),
        ("unix:///run/redis.sock?db=1", "must be unix:///path/to/socket"),
        ("unix:///run/a%20b.sock", "must be unix:///path/to/socket"),
        ("unix://", "must be unix:///path/to/socket"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        RedisEndpoint.parse(url)


@pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///run/redis.sock"])
def test_what_is_accepted_the_broker_can_use_too(url: str) -> None:
    assert Connection(RedisEndpoint.parse(url).broker_url).transport.driver_name == "redis"


def test_a_socket_has_a_name_for_each_client() -> None:
    endpoint = RedisEndpoint.parse("unix://:p%40ss@/run/redis.sock")
    for client in (Redis.from_url(endpoint.url), Flowers(endpoint.broker_url).redis):
        options = client.get_connection_kwargs()
        assert (options["path"], options["password"]) == ("/run/redis.sock", "p@ss")
