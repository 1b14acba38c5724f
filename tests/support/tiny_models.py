"""Tiny models with random weights, made with the real classes of transformers and sentence-transformers."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = (
    "martillo",
    "clavo",
    "tornillo",
    "broca",
    "drill",
    "saw",
    "de",
    "para",
    "1",
    "/",
    "2",
    "steel",
    "hammer",
    "hose",
)
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 48,
    # Larger than usual, so that the scores of random weights differ.
    "initializer_range": 0.3,
}


def write_tokenizer(folder: Path, *, bert: bool = True, types: bool = True, length: int = 40) -> int:
    """A word tokenizer as BERT has it or, with its pairs and special tokens, as XLM-RoBERTa; returns its vocabulary's size."""
    transformers = pytest.importorskip("transformers")

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if bert else ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    begin, end, pad, unknown = ("[CLS]", "[SEP]", "[PAD]", "[UNK]") if bert else ("<s>", "</s>", "<pad>", "<unk>")
    vocabulary = {word: number for number, word in enumerate((*special, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B:1 {end}:1" if bert else f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, vocabulary[begin]), (end, vocabulary[end])],
    )
    names = {"cls_token": begin, "sep_token": end, "pad_token": pad, "unk_token": unknown, "mask_token": special[-1]}
    inputs = {"model_input_names": ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=length, **names, **inputs
    ).save_pretrained(folder)
    return len(vocabulary)


def write_transformer(folder: Path, family: str, task: str, *, types: bool = True, **config: Any) -> Path:
    """A folder as transformers writes it: `family` such as Bert or XLMRoberta, `task` such as ForSequenceClassification."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    bert = family != "XLMRoberta"
    words = write_tokenizer(folder, bert=bert, types=types and bert)
    sizes = {"vocab_size": words, **SIZES, "pad_token_id": 0 if bert else 1, **config}
    if not bert:
        sizes["type_vocab_size"] = 1
    model = getattr(transformers, f"{family}{task}")(getattr(transformers, f"{family}Config")(**sizes))
    model.eval().save_pretrained(folder)
    return folder


def cross_encoder_folder(folder: Path, family: str = "Bert", **config: Any) -> Path:
    """A CrossEncoder without its own files, as most published ones are."""
    return write_transformer(folder, family, "ForSequenceClassification", **{"num_labels": 1, **config})


def masked_language_folder(folder: Path, family: str = "Bert", **config: Any) -> Path:
    """A masked language model, which SparseEncoder takes for SPLADE."""
    return write_transformer(folder, family, "ForMaskedLM", **config)
