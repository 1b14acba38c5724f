"""Reading a sentence-transformers folder's configuration."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrieval.encoders.models.folders import read_folder
from schemas.errors import ConfigurationError, ModelNotFoundError


def _change(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **changes}))


def test_what_the_folder_says(tiny_folder: Callable[..., Path]) -> None:
    folder = read_folder(tiny_folder("cls"))
    assert (folder.pooling, folder.plain, folder.max_length, folder.lower_case) == ("cls", True, 16, False)
    assert (folder.query_prompt, folder.passage_prompt) == ("query: ", "passage: ")


def test_pooling_in_the_form_of_newer_versions(tiny_folder: Callable[..., Path]) -> None:
    path = tiny_folder()
    _change(path, "1_Pooling/config.json", pooling_mode=["cls", "mean"])
    assert read_folder(path).pooling == "cls+mean"


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({"prompts": {}}, ("", "")),
        ({"prompts": {"query": "q ", "passage": "p "}}, ("q ", "p ")),
        ({"prompts": {"query": "q ", "any": "a "}, "default_prompt_name": "any"}, ("q ", "a ")),
    ],
)
def test_prompts(tiny_folder: Callable[..., Path], prompts: dict[str, Any], expected: tuple[str, str]) -> None:
    path = tiny_folder()
    (path / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    folder = read_folder(path)
    assert (folder.query_prompt, folder.passage_prompt) == expected


def test_the_length_never_passes_the_position_table(tiny_folder: Callable[..., Path]) -> None:
    path = tiny_folder()
    _change(path, "sentence_bert_config.json", max_seq_length=9999)
    assert read_folder(path).max_length == 40
    _change(path, "sentence_bert_config.json", max_seq_length=None)
    assert read_folder(path).max_length == 40


def test_a_module_beyond_pooling_is_not_plain(tiny_folder: Callable[..., Path]) -> None:
    path = tiny_folder()
    modules = json.loads((path / "modules.json").read_text())
    (path / "modules.json").write_text(
        json.dumps([*modules, {"type": "sentence_transformers.models.Dense", "path": "3"}])
    )
    assert not read_folder(path).plain


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"modules\.json"):
        read_folder(tmp_path)


def test_a_slow_tokenizer_alone_is_refused_with_the_remedy(tiny_folder: Callable[..., Path]) -> None:
    path = tiny_folder()
    (path / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match="AutoTokenizer"):
        read_folder(path)
