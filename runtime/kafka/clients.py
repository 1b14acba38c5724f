"""From our Kafka settings to aiokafka's options, the same for every client of every process."""

from __future__ import annotations

import ssl
from typing import Any

from schemas.topics import KafkaSettings


def bootstrap_servers(settings: KafkaSettings) -> list[str]:
    """The bootstrap servers as aiokafka takes them."""
    return [server.strip() for server in settings.bootstrap.split(",") if server.strip()]


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options that every aiokafka client takes: servers and security."""
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers(settings),
        "security_protocol": settings.security_protocol,
    }
    if "SASL" in settings.security_protocol:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    context = ssl_context(settings)
    if context is not None:
        options["ssl_context"] = context
    return options


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """A context that verifies the brokers, by the given authority or the system's; None where the protocol has no TLS."""
    if "SSL" not in settings.security_protocol:
        return None
    return ssl.create_default_context(cafile=settings.ssl_cafile or None)
