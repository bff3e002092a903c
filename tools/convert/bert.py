"""Encoders of BERT's kind: config, names of tensors, pooling and the WordPiece vocabulary.

The vocabulary is stored as GGUF readers expect it: U+2581 opens a word, what continues one has no mark,
and text is always lower-cased without accents; a model with another tokenizer is refused."""
import json
import re

CONTROL, NORMAL = 3, 1
MODEL_NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
LAYER_NAMES = {
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}
SKIP = re.compile(r"^(bert\.)?(pooler|cls|embeddings\.position_ids)")


def hyper_keys(c, meta):
    if c.get("hidden_act", "gelu") != "gelu":
        raise SystemExit(f"convert_hf: activation {c['hidden_act']} in bert; gelu is known")
    if c.get("position_embedding_type", "absolute") != "absolute":
        raise SystemExit("convert_hf: relative positions in bert; absolute ones are known")
    meta["bert.context_length"] = c["max_position_embeddings"]
    meta["bert.embedding_length"] = c["hidden_size"]
    meta["bert.block_count"] = c["num_hidden_layers"]
    meta["bert.feed_forward_length"] = c["intermediate_size"]
    meta["bert.attention.head_count"] = c["num_attention_heads"]
    meta["bert.attention.layer_norm_epsilon"] = float(c.get("layer_norm_eps", 1e-12))
    meta["bert.attention.causal"] = False


def pooling_keys(directory, meta):
    """1_Pooling/config.json of sentence-transformers, where there is one."""
    path = directory / "1_Pooling" / "config.json"
    if not path.exists():
        return
    c = json.loads(path.read_text(encoding="utf-8"))
    kinds = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2, "pooling_mode_lasttoken": 3}
    chosen = [kinds.get(k) for k, v in c.items() if k.startswith("pooling_mode_") and v is True]
    if len(chosen) != 1 or chosen[0] is None:
        raise SystemExit(f"{path}: one of {' '.join(kinds)} is expected")
    meta["bert.pooling_type"] = chosen[0]


def tensor_name(name):
    name = re.sub(r"^bert\.", "", name)
    if name in MODEL_NAMES:
        return MODEL_NAMES[name]
    m = re.fullmatch(r"encoder\.layer\.(\d+)\.(.*)\.(weight|bias)", name)
    if not m or m[2] not in LAYER_NAMES:
        raise SystemExit(f"convert_hf: tensor {name} is no part of bert as known here")
    return f"blk.{m[1]}.{LAYER_NAMES[m[2]]}.{m[3]}"


def _word(token, special):
    if token in special:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def vocab_keys(directory):
    tokenizer = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    model, normalizer = tokenizer["model"], tokenizer.get("normalizer") or {}
    if model["type"] != "WordPiece" or normalizer.get("type") != "BertNormalizer":
        raise SystemExit("tokenizer.json: WordPiece behind a BertNormalizer is known for bert")
    if not normalizer["lowercase"] or normalizer.get("strip_accents") is False:
        raise SystemExit("tokenizer.json: a vocabulary with upper case or accents; GGUF cannot say so")
    special = {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda kv: kv[1])]
    meta = {"tokenizer.ggml.model": "bert", "tokenizer.ggml.token_type_count": 2,
            "tokenizer.ggml.tokens": [_word(t, special) for t in tokens],
            "tokenizer.ggml.token_type": ([CONTROL if t in special else NORMAL for t in tokens], "i32")}
    for text, key in (("[UNK]", "unknown"), ("[CLS]", "cls"), ("[SEP]", "seperator"), ("[PAD]", "padding"),
                      ("[MASK]", "mask")):
        if text in special:
            meta[f"tokenizer.ggml.{key}_token_id"] = special[text]
    meta["tokenizer.ggml.bos_token_id"] = special["[CLS]"]
    meta["tokenizer.ggml.eos_token_id"] = special["[SEP]"]
    return meta
