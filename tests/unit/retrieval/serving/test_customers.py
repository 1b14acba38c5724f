"""A customer's token is believed where the settings' own key, algorithm, audience and time say so, and in no other case."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.datastructures import Headers
from structlog.testing import capture_logs

from runtime.http.middleware import CUSTOMER_HEADER
from runtime.http.problems import InvalidTokenError
from runtime.rights.customers import Customers
from runtime.rights.jwks import IssuerUnavailableError, PublishedKeys
from runtime.rights.settings import CustomerTokens
from schemas.identity import TenantId
from tests.support.clock import ClockOf

SECRET, OTHER = (
    "one secret of more than sixty-four bytes, enough for every algorithm",
    "another secret of more than sixty-four bytes, enough for each of them",
)
NORTE, SUR = TenantId("norte"), TenantId("sur")
BY_SECRET = Customers({"norte": CustomerTokens(secret=SECRET, audience="shop", issuer="https://id.example")})


def claims(**changed) -> dict:
    return {"sub": "ana", "aud": "shop", "iss": "https://id.example", "exp": time.time() + 60} | changed


def signed(algorithm="HS256", key=SECRET, headers=None, drop=(), **changed) -> str:
    content = {name: value for name, value in claims(**changed).items() if name not in drop}
    return jwt.encode(content, key, algorithm=algorithm, headers=headers)


def unsigned(algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, claims())
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return f"{'.'.join(encoded)}."


async def named(token: str, customers: Customers = BY_SECRET, tenant: TenantId = NORTE) -> str:
    return await customers.named(Headers({CUSTOMER_HEADER: token}), tenant)


async def test_a_token_names_its_customer_and_its_absence_nobody() -> None:
    assert await named(signed()) == "ana"
    assert await named(signed(aud=["other", "shop"], tenant="norte")) == "ana"
    assert await BY_SECRET.named(Headers({}), NORTE) == ""


async def test_a_token_of_an_issuer_that_several_tenants_share_names_its_tenant() -> None:
    tokens = CustomerTokens(secret=SECRET, audience="shop")
    shared = Customers({"norte": tokens, "sur": tokens})
    assert await named(signed(tenant="sur"), shared, SUR) == "ana"
    for token in (signed(), signed(tenant="norte")):
        with pytest.raises(InvalidTokenError, match="tenant"):
            await named(token, shared, SUR)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        unsigned("none"),
        unsigned("None"),
        unsigned("HS256"),
        signed(key=OTHER),
        signed("HS512"),
        signed(aud="elsewhere"),
        signed(iss="https://evil.example"),
        signed(exp=time.time() - 60),
        signed(nbf=time.time() + 600),
        signed(drop=["exp"]),
        signed(drop=["aud"]),
        signed(drop=["iss"]),
        signed(drop=["sub"]),
        signed(sub=""),
        signed(sub="a" * 129),
        signed(sub="a\nb"),
        signed(tenant="sur"),
        signed() + "x" * 9_000,
    ],
)
async def test_any_other_token_is_refused(token) -> None:
    with pytest.raises(InvalidTokenError):
        await named(token)


async def test_a_token_is_nothing_to_a_tenant_of_another_issuer_or_of_none() -> None:
    with pytest.raises(InvalidTokenError, match="takes no customers' tokens"):
        await named(signed(), tenant=SUR)
    both = Customers(
        {tenant: CustomerTokens(secret=key, audience="shop") for tenant, key in (("norte", SECRET), ("sur", OTHER))}
    )
    assert await named(signed(), both) == "ana"
    with pytest.raises(InvalidTokenError):
        await named(signed(), both, SUR)


async def test_two_tokens_are_none() -> None:
    headers = Headers(raw=[(CUSTOMER_HEADER.lower().encode(), signed().encode())] * 2)
    with pytest.raises(InvalidTokenError):
        await BY_SECRET.named(headers, NORTE)


RSA, ROTATED, EC = (
    rsa.generate_private_key(65537, 2048),
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
)


def published(key_id: str, key, **changed) -> dict:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig"} | changed


class Issuer:
    """Publishes keys on a port of its own, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[dict] = [published("one", RSA), published("two", EC)]
        self.content: bytes | None = None
        self.asked, self.status = 0, 200
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                content = issuer.content or json.dumps({"keys": issuer.keys}).encode()
                self.send_response(issuer.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def customers(self, **changed) -> Customers:
        return Customers({"norte": CustomerTokens(jwks_url=self.url, audience="shop", **changed)})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    with capture_logs():
        yield found
    found.stop()


async def test_published_keys_are_fetched_once_and_each_signs_by_its_own_algorithm(issuer) -> None:
    customers = issuer.customers()
    for _ in range(3):
        assert await named(signed("RS256", RSA, {"kid": "one"}), customers) == "ana"
        assert await named(signed("ES256", EC, {"kid": "two"}), customers) == "ana"
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("algorithm", "key", "headers"),
    [
        ("RS256", ROTATED, {"kid": "one"}),
        ("RS256", RSA, {"kid": "two"}),
        ("RS256", RSA, {"kid": "three"}),
        ("RS256", RSA, {}),
        ("RS512", RSA, {"kid": "one"}),
        ("HS256", SECRET, {"kid": "oct"}),
        ("HS256", SECRET, {"kid": "one"}),
        ("RS256", ROTATED, {"kid": "one", "jku": "https://evil.example/keys", "x5u": "https://evil.example/cert"}),
        ("RS256", ROTATED, {"kid": "one", "jwk": published("one", ROTATED)}),
        ("RS256", ROTATED, {"kid": "encryption"}),
    ],
)
async def test_what_a_token_says_of_its_own_checking_is_not_believed(issuer, algorithm, key, headers) -> None:
    issuer.keys.append({"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()})
    issuer.keys.append(published("encryption", ROTATED, use="enc"))
    with pytest.raises(InvalidTokenError):
        await named(signed(algorithm, key, headers), issuer.customers())


async def test_a_public_key_is_no_shared_secret(issuer) -> None:
    public = RSA.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = unsigned("HS256").rstrip(".")  # the library itself would not sign so
    code = base64.urlsafe_b64encode(hmac.digest(public, body.encode(), "sha256")).rstrip(b"=").decode()
    with pytest.raises(InvalidTokenError):
        await named(f"{body}.{code}", issuer.customers())
    assert issuer.asked == 0


async def test_a_key_is_good_for_the_algorithm_that_it_was_published_for(issuer) -> None:
    issuer.keys = [published("one", RSA, alg="PS256"), published("any", ROTATED)]
    customers = issuer.customers(algorithms=["RS256", "PS256"])
    assert await named(signed("PS256", RSA, {"kid": "one"}), customers) == "ana"
    assert await named(signed("PS256", ROTATED, {"kid": "any"}), customers) == "ana"
    with pytest.raises(InvalidTokenError):
        await named(signed("RS256", RSA, {"kid": "one"}), customers)


@pytest.mark.parametrize("trouble", ["status", "redirect", "no json", "no keys", "too long"])
async def test_an_issuer_that_gives_no_keys_is_an_outage_and_no_verdict(issuer, trouble) -> None:
    match trouble:
        case "status":
            issuer.status = 500
        case "redirect":
            issuer.status = 302
        case _:
            issuer.content = {"no json": b"<html>", "no keys": b"[]", "too long": b" " * 300_000}[trouble]
    with pytest.raises(IssuerUnavailableError):
        await named(signed("RS256", RSA, {"kid": "one"}), issuer.customers())


class Fetching:
    def __init__(self) -> None:
        self.keys: list[dict] | None = [published("one", RSA)]
        self.asked, self.now = 0, 1_000.0
        self.published = PublishedKeys("https://id", timeout_s=1, fetch=self.fetch, clock=ClockOf(lambda: self.now))

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.keys is None:
            raise OSError("away")
        return json.dumps({"keys": self.keys}).encode()


async def test_made_up_key_ids_ask_the_issuer_rarely_and_a_new_key_is_found_soon() -> None:
    fetching = Fetching()
    for number in range(50):
        assert await fetching.published.key(f"made-up-{number}") is None
    assert fetching.asked == 1
    fetching.keys = [published("two", ROTATED)]
    fetching.now += 15
    assert (await fetching.published.key("two")) is not None
    assert (await fetching.published.key("one")) is None  # it was withdrawn


async def test_known_keys_outlast_an_outage_for_a_day() -> None:
    fetching = Fetching()
    assert await fetching.published.key("one") is not None
    fetching.keys = None
    with capture_logs():
        fetching.now += 80_000
        assert await fetching.published.key("one") is not None
        fetching.now += 10_000
        with pytest.raises(IssuerUnavailableError):
            await fetching.published.key("one")
        fetching.keys = [published("one", RSA)]
        fetching.now += 15
        assert await fetching.published.key("") is not None
