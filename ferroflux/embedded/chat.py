"""The ordering agent inside the embedded system: the same process, the same port, search without a network between."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.api.app import PATHS
from agent.bootstrap import build_agent_app
from agent.catalogue.local import LocalCatalogue
from agent.settings import AgentHttpSettings, AgentSettings
from ferroflux.data_directory import DataDirectory
from query_api.settings import ApiSettings, HttpSettings
from query_api.worker import Worker
from runtime.admission.middleware import Doors
from runtime.supervision import Supervisor
from schemas.topics import KafkaSettings


def chat_beside(
    worker: Worker,
    doors: Doors,
    api: ApiSettings,
    kafka: KafkaSettings,
    directory: DataDirectory,
    supervisor: Supervisor,
) -> FastAPI:
    """The agent's application over the searchers of the worker that serves search here.

    Orders and conversations lie in the data directory unless the environment names servers for them. The keys of search are
    those of the chat, each for its roles, unless the chat has keys of its own; the address is the one that both share.
    """
    settings = AgentSettings()
    own = settings.agent
    database = own.database.model_copy(update={"directory": directory.root / "agent"})
    http = chat_settings(own.http, api.http)
    section = own.model_copy(update={"database": database, "http": http})
    catalogue = LocalCatalogue(worker.searchers.lease)
    own_settings = settings.model_copy(update={"agent": section, "kafka": kafka})
    return build_agent_app(
        own_settings, catalogue=catalogue, supervisor=supervisor, doors=doors, has_tenant=worker.catalogue.has
    )


def chat_settings(own: AgentHttpSettings, search: HttpSettings) -> AgentHttpSettings:
    """The chat's own settings, with the address of search, and with its keys where the chat has none."""
    keyed = search if own.is_open else own
    return own.model_copy(
        update={
            "host": search.host,
            "port": search.port,
            "insecure_open": search.insecure_open,
            "allowed_hosts": (*own.allowed_hosts, *search.allowed_hosts),
            "api_keys": keyed.api_keys,
            "admin_keys": keyed.admin_keys,
            "customers": own.customers or search.customers,
            "cors_origins": own.cors_origins or search.cors_origins,
        }
    )


class SharedPort:
    """One port for both: the agent's paths go to the agent, everything else to search.

    The lifespan that the server runs is that of search; whoever starts the server runs the agent's around it.
    """

    def __init__(self, search: ASGIApp, chat: ASGIApp) -> None:
        self._search = search
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        is_chat = scope["type"] == "http" and _is_below(scope["path"])
        await (self._chat if is_chat else self._search)(scope, receive, send)


def _is_below(path: str) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in PATHS)
