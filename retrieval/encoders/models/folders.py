"""Model folders, read without sentence-transformers: pipeline, pooling, activation, prompts and lengths.

Folders of cross-encoders and of masked language models may lack `modules.json`, as transformers and older versions write them;
they are read as sentence-transformers reads them, the latter as SPLADE with max pooling.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from retrieval.encoders.models.sources import CONFIG_FILE
from schemas.errors import ConfigurationError, ModelNotFoundError

_LEGACY_POOLING: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_QUERY_PROMPTS: Final = ("query",)
_PASSAGE_PROMPTS: Final = ("document", "passage", "corpus")
_UNLIMITED: Final = 1_000_000
_DEFAULT_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What a folder says about itself.

    `plain` is whether the pipeline is one that the exporter knows and nothing else: a transformer under one pooling and an
    optional normalisation (text encoder), a masked language model under SpladePooling (sparse encoder), or a transformer
    with a classification head (cross-encoder). `max_length` counts tokens with the special ones. `activation` is the function
    on word weights or on a pair's logit; `token_types` whether the tokenizer tells the two texts of a pair apart.
    """

    path: Path
    transformer_path: Path
    config: dict[str, Any]
    plain: bool
    max_length: int
    lower_case: bool
    pooling: str = ""
    activation: str = ""
    query_prompt: str = ""
    passage_prompt: str = ""
    token_types: bool = False

    @property
    def tokenizer_file(self) -> Path:
        """The fast tokenizer's file."""
        return self.transformer_path / "tokenizer.json"


def read_folder(path: Path) -> ModelFolder:
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
        (str(module["type"]).rsplit(".", 1)[-1], str(module["path"])) for module in _read_json(path / "modules.json")
    ]
    transformer_path = path / next((folder for kind, folder in modules if kind == "Transformer"), "")
    tokenizer_file = transformer_path / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise ConfigurationError(
            f"{path} has no tokenizer.json, only a slow tokenizer. Load it once with transformers' AutoTokenizer and save it again."
        )
    pooling_config = _read_json(
        path / next((folder for kind, folder in modules if kind == "Pooling"), "?") / "config.json", {}
    )
    pooling = _pooling(pooling_config)
    kinds = [kind for kind, _ in modules]
    own = _read_json(path / "config_sentence_transformers.json", {})
    transformer = _read_json(transformer_path / "sentence_bert_config.json", {})
    config = _read_json(transformer_path / "config.json", {})
    return ModelFolder(
        path=path,
        transformer_path=transformer_path,
        config=config,
        pooling=pooling,
        plain=kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
        and bool(pooling_config.get("include_prompt", True)),
        query_prompt=_prompt(own, _QUERY_PROMPTS),
        passage_prompt=_prompt(own, _PASSAGE_PROMPTS),
        max_length=_length_limit(transformer, _read_json(transformer_path / "tokenizer_config.json", {}), config),
        lower_case=bool(transformer.get("do_lower_case", False)),
    )


def _prompt(own: dict[str, Any], names: tuple[str, ...]) -> str:
    prompts: dict[str, str] = own.get("prompts") or {}
    default = prompts.get(own.get("default_prompt_name") or "", "")
    return next((prompts[name] for name in names if prompts.get(name)), default)


def _read_json(path: Path, default: Any = None) -> Any:
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


def _length_limit(transformer: dict[str, Any], tokenizer: dict[str, Any], config: dict[str, Any]) -> int:
    """Tokens that the model reads of an input, special ones included."""
    given = transformer.get("max_seq_length") or tokenizer.get("model_max_length") or _DEFAULT_LENGTH
    length = int(given) if given < _UNLIMITED else _DEFAULT_LENGTH
    # RoBERTa's positions begin behind the padding id, so that its table has more rows than a text may have tokens.
    unused = int(config.get("pad_token_id", 1)) + 1 if config.get("model_type") in {"roberta", "xlm-roberta"} else 0
    return min(length, int(config.get("max_position_embeddings", length + unused)) - unused)


SAVED_AS_SPARSE_ENCODER: Final = "SparseEncoder.save_pretrained"

_WORD_POOLINGS: Final = ("max", "sum")
_WORD_ACTIVATIONS: Final = ("relu", "log1p_relu")
_SPLADE: Final = (["Transformer", "SpladePooling"], ["MLMTransformer", "SpladePooling"])


def read_sparse_encoder(path: Path) -> ModelFolder:
    """Read the folder's configuration files; no weights.

    Raises:
        ModelNotFoundError: it is not a model's folder.
        ConfigurationError: it is no sparse encoder, or one that is not supported.
    """
    if not (path / CONFIG_FILE).is_file():
        raise ModelNotFoundError(
            f"{path} is not a SparseEncoder folder: it has no {CONFIG_FILE}. Save it with {SAVED_AS_SPARSE_ENCODER}."
        )
    config: dict[str, Any] = _read_json(path / CONFIG_FILE)
    own = _read_json(path / "config_sentence_transformers.json", {})
    modules = _read_json(path / "modules.json", [])
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    architecture = str((config.get("architectures") or [""])[0])
    if own.get("model_type", "SparseEncoder") != "SparseEncoder" or not (kinds or architecture.endswith("ForMaskedLM")):
        raise ConfigurationError(
            f"{path} holds a {architecture or own.get('model_type')}, not a SparseEncoder. Name a folder that {SAVED_AS_SPARSE_ENCODER} wrote."
        )
    if "Router" in kinds:
        raise ConfigurationError(
            f"the model in {path} has one encoder for queries and one for documents (Router), which is not supported. "
            "Take a SPLADE model that encodes both alike."
        )
    if not (path / "tokenizer.json").is_file():
        raise ConfigurationError(
            f"{path} has no tokenizer.json, only a slow tokenizer. Load it once with transformers' AutoTokenizer and save it again."
        )
    pooling = _read_json(path / modules[-1]["path"] / "config.json", {}) if kinds in _SPLADE else {}
    transformer = _read_json(path / "sentence_bert_config.json", {})
    strategy = pooling.get("pooling_strategy", "max")
    activation = pooling.get("activation_function", "relu")
    known = strategy in _WORD_POOLINGS and activation in _WORD_ACTIVATIONS
    return ModelFolder(
        path=path,
        transformer_path=path,
        config=config,
        plain=known and (not kinds or kinds in _SPLADE),
        pooling=strategy,
        activation=activation,
        query_prompt=_prompt(own, _QUERY_PROMPTS),
        passage_prompt=_prompt(own, _PASSAGE_PROMPTS),
        max_length=_length_limit(transformer, _read_json(path / "tokenizer_config.json", {}), config),
        lower_case=bool(transformer.get("do_lower_case", False)),
    )


SAVED_AS_CROSS_ENCODER: Final = "CrossEncoder.save_pretrained"

_SCORE_ACTIVATIONS: Final = ("Identity", "Sigmoid", "Tanh")
"""Functions on the logit, by the names that torch and ONNX share."""

_GENERAL_TOKENIZERS: Final = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend"})


def read_cross_encoder(path: Path) -> ModelFolder:
    """Read the folder's configuration files; no weights.

    Raises:
        ModelNotFoundError: it is not a model's folder.
        ConfigurationError: it is no reranker (several labels, another kind of model), or one that is not supported.
    """
    if not (path / CONFIG_FILE).is_file():
        raise ModelNotFoundError(
            f"{path} is not a CrossEncoder folder: it has no {CONFIG_FILE}. Save it with {SAVED_AS_CROSS_ENCODER}."
        )
    config: dict[str, Any] = _read_json(path / CONFIG_FILE)
    own = _read_json(path / "config_sentence_transformers.json", {})
    modules = [str(module["type"]).rsplit(".", 1)[-1] for module in _read_json(path / "modules.json", [])]
    transformer = _read_json(path / "sentence_bert_config.json", {})
    tokenizer = _read_json(path / "tokenizer_config.json", {})
    _require_reranker(path, config, own, has_modules=bool(modules))
    if not (path / "tokenizer.json").is_file():
        raise ConfigurationError(
            f"{path} has no tokenizer.json, only a slow tokenizer. Load it once with transformers' AutoTokenizer and save it again."
        )
    return ModelFolder(
        path=path,
        transformer_path=path,
        config=config,
        plain=modules in ([], ["Transformer"]),
        activation=_activation(path, config, own),
        token_types=int(config.get("type_vocab_size", 0)) > 1 and _gives_token_types(tokenizer),
        max_length=_length_limit(transformer, tokenizer, config),
        lower_case=bool(transformer.get("do_lower_case", False)),
    )


def _require_reranker(path: Path, config: dict[str, Any], own: dict[str, Any], *, has_modules: bool) -> None:
    kind = own.get("model_type", "CrossEncoder")
    architecture = (config.get("architectures") or [""])[0]
    if kind != "CrossEncoder" or (not has_modules and not architecture.endswith("ForSequenceClassification")):
        raise ConfigurationError(
            f"{path} holds a {architecture or kind}, not a CrossEncoder. Name a folder that {SAVED_AS_CROSS_ENCODER} wrote."
        )
    labels = len(config.get("id2label") or {0: ""})
    if labels != 1:
        raise ConfigurationError(
            f"the model in {path} gives {labels} scores a pair, but a reranker gives one. Train it with num_labels=1."
        )
    prompts = own.get("prompts") or {}
    if prompts.get(own.get("default_prompt_name") or ""):
        raise ConfigurationError(
            f"the model in {path} puts a prompt before queries, which is not supported. Save it without default_prompt_name."
        )


def _gives_token_types(tokenizer: dict[str, Any]) -> bool:
    """As transformers decides it: what the tokenizer's file says, or else its class; the general class gives none."""
    inputs = tokenizer.get("model_input_names")
    if inputs is not None:
        return "token_type_ids" in inputs
    return tokenizer.get("tokenizer_class") not in _GENERAL_TOKENIZERS


def _activation(path: Path, config: dict[str, Any], own: dict[str, Any]) -> str:
    """The name of the function on the logit; sentence-transformers has kept it in three places over time."""
    named = (
        own.get("activation_fn")
        or (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get("sbert_ce_default_activation_function")
        or "torch.nn.modules.activation.Sigmoid"
    )
    # What is not torch's own is not trusted by sentence-transformers either, which takes the default then.
    activation = str(named).rsplit(".", 1)[-1] if str(named).startswith("torch.") else "Sigmoid"
    if activation not in _SCORE_ACTIVATIONS:
        raise ConfigurationError(
            f"the model in {path} has the activation {activation}, which is none of {', '.join(_SCORE_ACTIVATIONS)}. "
            "Save it with one of these: none changes the order of the scores."
        )
    return activation
