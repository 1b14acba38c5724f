"""The JSON Schemas of the contracts, written to `schemas/json`: `python -m schemas.export`.

A schema that would break those who know the committed one is not written, unless `--breaking` says that it is meant.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from schemas.api.chat import ChatRequest, Deleted, ThreadsSetApart, ThreadView, TurnReply, TurnStep
from schemas.api.items import Item
from schemas.api.orders import Confirmed, ConfirmRequest, OrderList, OrderView, RetryRequest
from schemas.api.problems import Problem
from schemas.api.search import SearchRequest, SearchResponse
from schemas.api.status import StatusResponse
from schemas.compatibility import incompatibilities
from schemas.documents import SearchDocument
from schemas.errors import FatalError
from schemas.events.dead_letters import DeadLetterHeaders
from schemas.events.wire import ChangeEventIn
from schemas.mapping.model import Mapping as MappingFile
from schemas.orders import SubmittedOrder

FOLDER: Final = Path(__file__).with_name("json")
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_IDENTIFIER: Final = "urn:ferroflux:schema:"

CONTRACTS: Final[Mapping[str, type[BaseModel]]] = {
    "change-event": ChangeEventIn,
    "search-document": SearchDocument,
    "mapping": MappingFile,
    "dead-letter-headers": DeadLetterHeaders,
    "search-request": SearchRequest,
    "search-response": SearchResponse,
    "item": Item,
    "status": StatusResponse,
    "problem": Problem,
    "submitted-order": SubmittedOrder,
    "order": OrderView,
    "order-list": OrderList,
    "order-confirmation": ConfirmRequest,
    "confirmed-order": Confirmed,
    "retry": RetryRequest,
    "chat-request": ChatRequest,
    "chat-reply": TurnReply,
    "chat-step": TurnStep,
    "conversation": ThreadView,
    "conversations-set-apart": ThreadsSetApart,
    "deleted-conversations": Deleted,
}
"""File name (without `.json`) to model."""


class IncompatibleSchemaError(FatalError):
    """A contract changed in a way that breaks those who use it. Add instead of changing, or export with --breaking and say so in the changelog."""

    code = "incompatible_schema"


def render(name: str, contract: type[BaseModel]) -> dict[str, Any]:
    """One contract's JSON Schema, in the form that its readers are to validate by."""
    schema = contract.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": _DIALECT, "$id": _IDENTIFIER + name, **schema}


def to_text(schema: Mapping[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def export_all(
    folder: Path = FOLDER, contracts: Mapping[str, type[BaseModel]] = CONTRACTS, *, breaking: bool = False
) -> list[Path]:
    """Write the schemas of all contracts; returns the files that changed.

    Raises:
        IncompatibleSchemaError: a schema breaks the one in the folder, and `breaking` is not set; nothing is written.
    """
    rendered = {folder / f"{name}.json": render(name, contract) for name, contract in contracts.items()}
    problems = [
        f"{path.name} {problem}"
        for path, schema in rendered.items()
        if path.exists() and not breaking
        for problem in incompatibilities(json.loads(path.read_text(encoding="utf-8")), schema)
    ]
    if problems:
        raise IncompatibleSchemaError("; ".join(problems))
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for path, schema in rendered.items():
        text = to_text(schema)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Export the schemas; 1 where a contract would break."""
    parser = argparse.ArgumentParser(prog="python -m schemas.export", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go (default: schemas/json)")
    parser.add_argument("--breaking", action="store_true", help="write schemas that break their committed version")
    options = parser.parse_args(arguments)
    try:
        changed = export_all(options.folder, breaking=options.breaking)
    except IncompatibleSchemaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"written: {path.name}\n" for path in changed) or "all schemas are current\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
