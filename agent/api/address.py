"""Where a request comes from, as spending is counted: one host, or, of IPv6, the network that one customer has."""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.requests import HTTPConnection

_IPV6_NETWORK: Final = 64


def client_address(request: HTTPConnection) -> str:
    """The address; empty where the server knows none. Behind a proxy it is the one that uvicorn takes from trusted ones' headers."""
    if request.client is None:
        return ""
    try:
        found = ipaddress.ip_address(request.client.host.partition("%")[0])
    except ValueError:
        return request.client.host
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False).network_address)
