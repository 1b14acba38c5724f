"""A sentence-transformers folder, read without sentence-transformers: modules, pooling, prompts and lengths."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import ConfigurationError, ModelNotFoundError

_LEGACY_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_PASSAGE_PROMPTS: Final = ("document", "passage", "corpus")
_UNLIMITED: Final = 1_000_000
_DEFAULT_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class SentenceTransformerFolder:
    """What the folder says about itself.

    `plain` is whether the pipeline is a transformer, one pooling and an optional normalisation, and nothing else;
    `max_length` counts tokens with the special ones.
    """

    path: Path
    transformer_path: Path
    config: dict[str, Any]
    pooling: str
    plain: bool
    query_prompt: str
    passage_prompt: str
    max_length: int
    lower_case: bool

    @property
    def tokenizer_file(self) -> Path:
        """The fast tokenizer's file."""
        return self.transformer_path / "tokenizer.json"


def read_folder(path: Path) -> SentenceTransformerFolder:
    """Read the folder's configuration files; no weights.

    Raises:
        ModelNotFoundError: there is no such folder, or it is not one that sentence-transformers saved.
        ConfigurationError: a configuration file is broken, or the fast tokenizer's file is missing.
    """
    if not (path / "modules.json").is_file():
        raise ModelNotFoundError(
            f"{path} is not a sentence-transformers folder: it has no modules.json. "
            "Save the model with SentenceTransformer.save_pretrained, or name a built-in model."
        )
    modules = [
        (str(module["type"]).rsplit(".", 1)[-1], str(module["path"])) for module in read_json(path / "modules.json")
    ]
    transformer_path = path / next((folder for kind, folder in modules if kind == "Transformer"), "")
    tokenizer_file = transformer_path / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise ConfigurationError(
            f"{path} has no tokenizer.json, only a slow tokenizer. Load it once with transformers' AutoTokenizer and save it again."
        )
    pooling_config = read_json(
        path / next((folder for kind, folder in modules if kind == "Pooling"), "?") / "config.json", {}
    )
    pooling = _pooling(pooling_config)
    kinds = [kind for kind, _ in modules]
    own = read_json(path / "config_sentence_transformers.json", {})
    transformer = read_json(transformer_path / "sentence_bert_config.json", {})
    config = read_json(transformer_path / "config.json", {})
    return SentenceTransformerFolder(
        path=path,
        transformer_path=transformer_path,
        config=config,
        pooling=pooling,
        plain=kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
        and bool(pooling_config.get("include_prompt", True)),
        query_prompt=query_prompt(own),
        passage_prompt=passage_prompt(own),
        max_length=length_limit(transformer, read_json(transformer_path / "tokenizer_config.json", {}), config),
        lower_case=bool(transformer.get("do_lower_case", False)),
    )


def query_prompt(own: dict[str, Any]) -> str:
    """What stands before queries, by sentence-transformers' own configuration."""
    return _prompt(own, ("query",))


def passage_prompt(own: dict[str, Any]) -> str:
    """What stands before passages."""
    return _prompt(own, _PASSAGE_PROMPTS)


def _prompt(own: dict[str, Any], names: tuple[str, ...]) -> str:
    prompts: dict[str, str] = own.get("prompts") or {}
    default = prompts.get(own.get("default_prompt_name") or "", "")
    return next((prompts[name] for name in names if prompts.get(name)), default)


def read_json(path: Path, default: Any = None) -> Any:
    """A configuration file; where it is absent, the default, if there is one.

    Raises:
        ConfigurationError: it is not JSON.
    """
    if default is not None and not path.is_file():
        return default
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}") from error


def _pooling(config: dict[str, Any]) -> str:
    if "pooling_mode" in config:
        mode = config["pooling_mode"]
        return mode if isinstance(mode, str) else "+".join(mode)
    active = [mode for key, mode in _LEGACY_POOLING.items() if config.get(key)]
    return "+".join(active) or "mean"


def length_limit(transformer: dict[str, Any], tokenizer: dict[str, Any], config: dict[str, Any]) -> int:
    """Tokens that the model reads of an input, special ones included."""
    given = transformer.get("max_seq_length") or tokenizer.get("model_max_length") or _DEFAULT_LENGTH
    length = int(given) if given < _UNLIMITED else _DEFAULT_LENGTH
    # RoBERTa's positions begin behind the padding id, so that its table has more rows than a text may have tokens.
    unused = int(config.get("pad_token_id", 1)) + 1 if config.get("model_type") in {"roberta", "xlm-roberta"} else 0
    return min(length, int(config.get("max_position_embeddings", length + unused)) - unused)
