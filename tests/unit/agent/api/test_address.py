"""Which address spending is counted for."""

import pytest
from starlette.requests import Request

from agent.api.context import client_address


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("a-socket", "a-socket"),
    ],
)
def test_one_host_or_one_network_of_a_customer(host, counted) -> None:
    assert client_address(Request({"type": "http", "client": (host, 1), "headers": []})) == counted


def test_none_where_the_server_knows_none() -> None:
    assert client_address(Request({"type": "http", "client": None, "headers": []})) == ""
