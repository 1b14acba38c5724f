"""Fixture: builds stacks and stops them with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from schemas.topics import TopicNames
    from tests.support.kafka.server import KafkaServer
    from tests.support.stack.stack import Stack


@pytest.fixture
def stack_of(tmp_path_factory: pytest.TempPathFactory, topics: TopicNames) -> Iterator[Callable[..., Stack]]:
    """`stack_of(kafka)` is a stack on this broker, its vector store running."""
    from tests.support.stack.stack import Stack  # noqa: PLC0415 - every start of pytest reads this module, and few need seconds of imports

    running: list[Stack] = []

    def build(kafka: KafkaServer, **options: Any) -> Stack:
        stack = Stack(tmp_path_factory.mktemp("stack"), kafka=kafka, **{"topics": topics, **options})
        running.append(stack)
        stack.start_vectors()
        return stack

    yield build
    for stack in running:
        stack.stop()
