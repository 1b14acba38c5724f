"""Our Kafka security for FastStream, which wants it in classes of its own."""

from __future__ import annotations

from typing import Final

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from runtime.kafka.clients import ssl_context
from schemas.topics import KafkaSettings

_SASL: Final = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def faststream_security(settings: KafkaSettings) -> BaseSecurity:
    """The same security that `client_options` gives aiokafka's own clients."""
    context = ssl_context(settings)
    if "SASL" not in settings.security_protocol:
        return BaseSecurity(ssl_context=context)
    kind = _SASL[settings.sasl_mechanism]
    password = settings.sasl_password.get_secret_value()
    return kind(settings.sasl_username, password, ssl_context=context, use_ssl=context is not None)
