"""The exported JSON Schemas: current, and never narrower than what was released."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest

from indexer.kafka.publisher import letter_record
from indexer.records import DeadLetter, InboundRecord
from schemas.events.dead_letters import DeadLetterHeaders
from schemas.export import (
    CONTRACTS,
    FOLDER,
    IncompatibleSchemaError,
    export_all,
    incompatibilities,
    main,
    render,
    to_text,
)

pytestmark = pytest.mark.slow

RELEASED = Path(__file__).with_name("released")


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_committed_schema_is_current(name):
    committed = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert committed == to_text(render(name, CONTRACTS[name])), "run python -m schemas.export"


@pytest.mark.parametrize("path", sorted(RELEASED.glob("*.json")), ids=lambda path: path.stem)
def test_no_contract_breaks_its_released_version(path):
    released = json.loads(path.read_text(encoding="utf-8"))
    assert incompatibilities(released, render(path.stem, CONTRACTS[path.stem])) == ()


def test_every_schema_is_a_schema_and_compatible_with_itself():
    for name, contract in CONTRACTS.items():
        schema = render(name, contract)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert incompatibilities(schema, schema) == ()


def obj(required: tuple[str, ...] = (), **properties: dict) -> dict:
    return {"type": "object", "properties": properties, "required": list(required)}


TEXT, INTEGER, NUMBER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "null"}
UNION = {"anyOf": [TEXT, INTEGER, NULL]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (obj(a=TEXT), obj(a=TEXT, b=INTEGER)),
        (obj(("a",), a=TEXT), obj(a=TEXT)),
        (INTEGER, NUMBER),
        (TEXT, {"type": ["string", "null"]}),
        (TEXT, {}),
        ({"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 6}),
        ({"type": "number", "minimum": 5}, {"type": "number", "minimum": 4}),
        ({"type": "number", "minimum": 5}, NUMBER),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}),
        ({"const": "a"}, {"enum": ["a", "b"]}),
        (TEXT, UNION),
        ({"anyOf": [TEXT, NULL]}, {"anyOf": [NULL, {"anyOf": [INTEGER, TEXT]}]}),
        ({"type": "array", "items": INTEGER}, {"type": "array", "items": NUMBER}),
        ({"type": "object", "additionalProperties": False}, {"type": "object"}),
        ({"type": "string", "description": "x"}, {"type": "string", "description": "y", "title": "z"}),
        ({"$defs": {"A": TEXT}, "$ref": "#/$defs/A"}, {"$defs": {"B": {"anyOf": [TEXT, NULL]}}, "$ref": "#/$defs/B"}),
    ],
)
def test_a_wider_schema_is_compatible(old, new):
    assert incompatibilities(old, new) == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (obj(a=TEXT, b=TEXT), obj(a=TEXT), "$.b: property removed"),
        (obj(a=TEXT), obj(("a",), a=TEXT), "$.a: newly required"),
        (obj(a=NUMBER), obj(a=INTEGER), "$.a: type narrowed from number to integer"),
        ({}, TEXT, "type narrowed from any to string"),
        (UNION, {"anyOf": [TEXT, NULL]}, "alternative 1 is gone or narrower"),
        ({"anyOf": [TEXT, INTEGER]}, TEXT, "alternative 1 is gone"),
        ({"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 4}, "maxLength lowered to 4"),
        (NUMBER, {"type": "number", "minimum": 0}, "minimum raised to 0"),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, "values removed: 'b'"),
        (TEXT, {"type": "string", "enum": ["a"]}, "values removed: any but ['a']"),
        (TEXT, {"type": "string", "pattern": "^a"}, "pattern is new or another"),
        ({"type": "array", "items": NUMBER}, {"type": "array", "items": INTEGER}, "$.items: type narrowed"),
        ({"type": "array"}, {"type": "array", "items": INTEGER}, "$.items: newly restricted"),
        (
            {"type": "object"},
            {"type": "object", "additionalProperties": False},
            "additionalProperties: newly restricted",
        ),
        ({"patternProperties": {"^a": TEXT}}, {"patternProperties": {"^b": TEXT}}, "removed"),
        ({"patternProperties": {"^a": TEXT}}, {"patternProperties": {"^a": INTEGER}}, "type narrowed"),
        (
            {"$defs": {"A": obj(x=TEXT)}, "$ref": "#/$defs/A"},
            {"$defs": {"A": obj()}, "$ref": "#/$defs/A"},
            "$.x: property removed",
        ),
    ],
)
def test_a_narrower_schema_is_told_by_its_place(old, new, words):
    [problem] = incompatibilities(old, new)
    assert words in problem


def test_a_recursive_schema_is_compared_once():
    def tree(leaf: dict) -> dict:
        node = obj(leaf=leaf, children={"type": "array", "items": {"$ref": "#/$defs/Node"}})
        return {"$defs": {"Node": node}, "$ref": "#/$defs/Node"}

    assert incompatibilities(tree(TEXT), tree(TEXT)) == ()
    assert incompatibilities(tree(TEXT), tree(INTEGER)) == ("$.leaf: type narrowed from string to integer",)


def test_the_exporter_refuses_to_break_a_contract(tmp_path, capsys):
    assert len(export_all(tmp_path)) == len(CONTRACTS)
    assert export_all(tmp_path) == []
    path = tmp_path / "search-document.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["properties"]["gone"] = {"type": "string"}
    path.write_text(to_text(schema), encoding="utf-8")
    with pytest.raises(IncompatibleSchemaError, match="gone: property removed"):
        export_all(tmp_path)
    assert main(["--folder", str(tmp_path)]) == 1
    assert main(["--folder", str(tmp_path), "--breaking"]) == 0
    assert "search-document.json" in capsys.readouterr().out


def test_a_dead_letters_headers_are_those_of_the_contract():
    record = InboundRecord("warehouse.changes", 1, 2, 3, None, None)
    headers = letter_record(DeadLetter(record, "missing_key", "no key"), now_us=5, most=sys.maxsize).headers
    raw = {name: value.decode() for name, value in headers if value is not None}
    assert DeadLetterHeaders.model_validate(raw).reason == "missing_key"
    assert raw.keys() <= {field.alias for field in DeadLetterHeaders.model_fields.values()}
