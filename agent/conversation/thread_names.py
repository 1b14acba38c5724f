"""Names of conversations: those that we issue, which nobody can guess, and those of customers, which nobody else can reach. Pure.

A name that we issue says by itself that it is ours: its end is a code over its beginning and the tenant. A customer's names are
kept under a prefix made of the customer, so two customers' `cart` are two conversations, and no other caller can spell either.
In the stores the tenant is part of a thread's key, so a tenant's thread name is useless to every other tenant.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from typing import Final

from agent.errors import ThreadNameTooLongError
from schemas.identity import TenantId

LONGEST: Final = 64
_CUSTOMER_DIGITS: Final = 24
_RANDOM_BYTES: Final = 16
_CODE_BYTES: Final = 8
_ISSUED: Final = re.compile(rf"t([0-9a-f]{{{2 * _RANDOM_BYTES}}})([0-9a-f]{{{2 * _CODE_BYTES}}})")


class ThreadNames:
    """The names of one installation, by its secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, tenant: TenantId, key: str = "") -> str:
        """A new name; under an idempotency key the same one again, so that a message that is sent again finds its answer."""
        body = self._once(tenant, "", key).hex()
        return f"t{body}{self._code(tenant, body)}"

    def is_issued(self, tenant: TenantId, name: str) -> bool:
        """Whether this installation issued the name, for this tenant."""
        found = _ISSUED.fullmatch(name)
        return found is not None and hmac.compare_digest(found[2], self._code(tenant, found[1]))

    def of_customer(self, tenant: TenantId, customer: str, name: str, key: str = "") -> str:
        """The name under which a customer's conversation is kept; without one of the customer's choice, a new one as by `issue`.

        Raises:
            ThreadNameTooLongError: it has no room beside the customer's prefix.
        """
        prefix = customer_prefix(customer)
        own = name.removeprefix(prefix) or self._once(tenant, customer, key).hex()
        if len(prefix) + len(own) > LONGEST:
            raise ThreadNameTooLongError(
                f"the conversation's name has {len(own)} characters: with a customer's token it has at most {LONGEST - len(prefix)}"
            )
        return f"{prefix}{own}"

    def pseudonym(self, address: str) -> str:
        """What stands for a network address where spending is added up: the same for the same, and nobody's address."""
        return self._keyed("address", address)[:_RANDOM_BYTES].hex() if address else ""

    def _once(self, tenant: TenantId, customer: str, key: str) -> bytes:
        if not key:
            return secrets.token_bytes(_RANDOM_BYTES)
        return self._keyed("request", tenant, customer, key)[:_RANDOM_BYTES]

    def _code(self, tenant: TenantId, body: str) -> str:
        return self._keyed("issued", tenant, body)[:_CODE_BYTES].hex()

    def _keyed(self, *parts: str) -> bytes:
        return hmac.digest(self._secret, json.dumps(parts).encode(), hashlib.sha256)


def customer_prefix(customer: str) -> str:
    """What the names of a customer's conversations begin with."""
    return f"c-{hashlib.sha256(customer.encode()).hexdigest()[:_CUSTOMER_DIGITS]}-"


def thread_key(tenant: TenantId, thread: str) -> str:
    """`tenant/thread`: neither part can hold a slash, so no two pairs share a key."""
    return f"{tenant}/{thread}"


@dataclass(frozen=True, slots=True)
class ThreadName:
    """One thread of one tenant."""

    tenant: TenantId
    thread: str

    @property
    def key(self) -> str:
        """Its key in the checkpoints."""
        return thread_key(self.tenant, self.thread)
