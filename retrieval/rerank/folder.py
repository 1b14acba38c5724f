"""A CrossEncoder folder, read without sentence-transformers: the head, its activation, and the length of a pair.

Folders without `modules.json`, as transformers and older versions write them, are read as sentence-transformers reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from retrieval.encoders.models.folder import length_limit, read_json
from retrieval.encoders.models.sources import CONFIG_FILE
from schemas.errors import ConfigurationError, ModelNotFoundError

SAVED_BY: Final = "CrossEncoder.save_pretrained"

_ACTIVATIONS: Final = ("Identity", "Sigmoid", "Tanh")
"""Functions on the logit, by the names that torch and ONNX share."""

_GENERAL_TOKENIZERS: Final = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend"})


@dataclass(frozen=True, slots=True)
class CrossEncoderFolder:
    """What the folder says about itself.

    `plain` is whether the pipeline is one transformer with a classification head and nothing else; `token_types` whether its
    tokenizer tells the two texts of a pair apart; `activation` what makes the score of the logit.
    """

    path: Path
    config: dict[str, Any]
    plain: bool
    activation: str
    token_types: bool
    max_length: int
    lower_case: bool

    @property
    def tokenizer_file(self) -> Path:
        """The fast tokenizer's file."""
        return self.path / "tokenizer.json"


def read_cross_encoder(path: Path) -> CrossEncoderFolder:
    """Read the folder's configuration files; no weights.

    Raises:
        ModelNotFoundError: it is not a model's folder.
        ConfigurationError: it is no reranker (several labels, another kind of model), or one that is not supported.
    """
    if not (path / CONFIG_FILE).is_file():
        raise ModelNotFoundError(
            f"{path} is not a CrossEncoder folder: it has no {CONFIG_FILE}. Save it with {SAVED_BY}."
        )
    config: dict[str, Any] = read_json(path / CONFIG_FILE)
    own = read_json(path / "config_sentence_transformers.json", {})
    modules = [str(module["type"]).rsplit(".", 1)[-1] for module in read_json(path / "modules.json", [])]
    transformer = read_json(path / "sentence_bert_config.json", {})
    tokenizer = read_json(path / "tokenizer_config.json", {})
    _require_reranker(path, config, own, has_modules=bool(modules))
    if not (path / "tokenizer.json").is_file():
        raise ConfigurationError(
            f"{path} has no tokenizer.json, only a slow tokenizer. Load it once with transformers' AutoTokenizer and save it again."
        )
    return CrossEncoderFolder(
        path=path,
        config=config,
        plain=modules in ([], ["Transformer"]),
        activation=_activation(path, config, own),
        token_types=int(config.get("type_vocab_size", 0)) > 1 and _gives_token_types(tokenizer),
        max_length=length_limit(transformer, tokenizer, config),
        lower_case=bool(transformer.get("do_lower_case", False)),
    )


def _require_reranker(path: Path, config: dict[str, Any], own: dict[str, Any], *, has_modules: bool) -> None:
    kind = own.get("model_type", "CrossEncoder")
    architecture = (config.get("architectures") or [""])[0]
    if kind != "CrossEncoder" or (not has_modules and not architecture.endswith("ForSequenceClassification")):
        raise ConfigurationError(
            f"{path} holds a {architecture or kind}, not a CrossEncoder. Name a folder that {SAVED_BY} wrote."
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
    if activation not in _ACTIVATIONS:
        raise ConfigurationError(
            f"the model in {path} has the activation {activation}, which is none of {', '.join(_ACTIVATIONS)}. "
            "Save it with one of these: none changes the order of the scores."
        )
    return activation
