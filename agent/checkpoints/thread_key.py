"""A thread's name in the store: the tenant is part of it, so a tenant's thread id is useless to every other tenant."""

from dataclasses import dataclass

from schemas.identity import TenantId


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
