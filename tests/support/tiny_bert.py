"""A sentence-transformers folder with a random BERT of two layers, written without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from retrieval.encoders.models.tensors import write_safetensors

WORDS = ("martillo", "clavo", "tornillo", "broca", "drill", "saw", "de", "para", "query", "passage", ":", "1", "/", "2")
HIDDEN, LAYERS, HEADS, WIDE, POSITIONS = 32, 2, 4, 64, 40


def write_tiny_bert(folder: Path, pooling: str = "mean", *, normalise: bool = True, **config: Any) -> Path:
    """Write it and return the folder; `config` goes over its `config.json`."""
    (folder / "1_Pooling").mkdir(parents=True)
    _tokenizer().save(str(folder / "tokenizer.json"))
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalise else [])]
    contents: dict[str, Any] = {
        "modules.json": [
            {
                "idx": i,
                "name": str(i),
                "path": "" if i == 0 else f"{i}_{kind}",
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, kind in enumerate(modules)
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": HIDDEN,
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_max_tokens": pooling == "max",
        },
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "intermediate_size": WIDE,
            "vocab_size": 5 + len(WORDS),
            "max_position_embeddings": POSITIONS,
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
            "pad_token_id": 0,
            **config,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "model_max_length": POSITIONS,
        },
        "sentence_bert_config.json": {"max_seq_length": 16, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}},
    }
    if normalise:
        (folder / "2_Normalize").mkdir()
    for file, content in contents.items():
        (folder / file).write_text(json.dumps(content))
    write_safetensors(folder / "model.safetensors", _weights())
    return folder


def _tokenizer() -> Tokenizer:
    vocabulary = {word: i for i, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def _weights() -> dict[str, Any]:
    draw = np.random.default_rng(7)

    def linear(name: str, rows: int, columns: int) -> dict[str, Any]:
        return {
            f"{name}.weight": draw.normal(0, 0.3, (rows, columns)).astype(np.float32),
            f"{name}.bias": draw.normal(0, 0.1, rows).astype(np.float32),
        }

    def norm(name: str) -> dict[str, Any]:
        return {
            f"{name}.weight": draw.uniform(0.5, 1.5, HIDDEN).astype(np.float32),
            f"{name}.bias": draw.normal(0, 0.1, HIDDEN).astype(np.float32),
        }

    tables = {"word": 5 + len(WORDS), "position": POSITIONS, "token_type": 2}
    weights = {
        f"embeddings.{kind}_embeddings.weight": draw.normal(0, 0.5, (rows, HIDDEN)).astype(np.float32)
        for kind, rows in tables.items()
    }
    weights |= norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            weights |= linear(f"{prefix}.attention.self.{part}", HIDDEN, HIDDEN)
        weights |= linear(f"{prefix}.attention.output.dense", HIDDEN, HIDDEN)
        weights |= norm(f"{prefix}.attention.output.LayerNorm")
        weights |= linear(f"{prefix}.intermediate.dense", WIDE, HIDDEN)
        weights |= linear(f"{prefix}.output.dense", HIDDEN, WIDE)
        weights |= norm(f"{prefix}.output.LayerNorm")
    return weights
