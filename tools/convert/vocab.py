"""Tokenizers: tokenizer.model (SentencePiece) or tokenizer.json (byte-level BPE, or SentencePiece BPE as
the tokenizers library writes it) to tokenizer.ggml.* keys. A pre-tokenizer that is not recognised is
refused: a wrong one gives subtly wrong ids."""
import json
import pathlib
import struct

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         rf"|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# the stages of tokenizer.json as short texts -> name
PRE_TOKENIZERS = {
    ("bytes+gpt2",): "gpt-2",
    ("digits:1", "bytes+gpt2"): "smollm",
    (WORDS % r"\p{N}{1,3}", "bytes"): "llama-bpe",
    (WORDS % r"\p{N}", "bytes"): "qwen2",
    (TEKKEN, "bytes"): "tekken",
    (GPT4O, "bytes"): "gpt-4o",
}


def _stage(p):
    kind = p["type"]
    if kind == "ByteLevel":
        if p.get("add_prefix_space"):
            raise SystemExit("tokenizer.json: ByteLevel with add_prefix_space is not supported")
        return "bytes+gpt2" if p.get("use_regex", True) else "bytes"
    if kind == "Digits":
        return "digits:1" if p.get("individual_digits") else "digits:n"
    if kind == "Split" and "Regex" in p["pattern"] and p["behavior"] == "Isolated":
        return p["pattern"]["Regex"]
    return json.dumps(p)


def pre_tokenizer(tokenizer):
    p = tokenizer.get("pre_tokenizer") or {"type": "none"}
    stages = tuple(map(_stage, p["pretokenizers"] if p["type"] == "Sequence" else [p]))
    if stages not in PRE_TOKENIZERS:
        raise SystemExit(f"tokenizer.json: pre-tokenizer {stages} is not known; known: "
                         + " ".join(PRE_TOKENIZERS.values()))
    return PRE_TOKENIZERS[stages]


# ---- SentencePiece models: the few protobuf fields that matter


def _fields(data):
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            n, at = _varint(data, at)
            value, at = data[at : at + n], at + n
        else:
            n = 4 if wire == 5 else 8
            value, at = data[at : at + n], at + n
        yield key >> 3, value


def _varint(data, at):
    value = shift = 0
    while True:
        b = data[at]
        value |= (b & 127) << shift
        at, shift = at + 1, shift + 7
        if b < 128:
            return value, at


def sentencepiece(path):
    tokens, scores, types, prefix, model_type = [], [], [], True, 1
    for field, value in _fields(path.read_bytes()):
        if field == 1:
            piece = dict(_fields(value))
            tokens.append(piece.get(1, b"").decode("utf-8"))
            scores.append(struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0)
            types.append(piece.get(3, NORMAL))
        elif field == 2:
            model_type = dict(_fields(value)).get(3, 1)
        elif field == 3:
            prefix = bool(dict(_fields(value)).get(3, 1))
    if model_type != 2:
        raise SystemExit(f"{path}: model type {model_type}; BPE (2) is supported")
    return tokens, scores, types, prefix


def _merges(model):
    return [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]


def spm_from_json(tokenizer):
    """Scores from the order of merges: a piece ranks where it is first made. Pieces that no merge makes
    come last."""
    model = tokenizer["model"]
    rank = {}
    for m in _merges(model):
        rank.setdefault(m.replace(" ", "", 1), len(rank))
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda kv: kv[1])]
    scores = [float(-rank.get(t, len(rank))) for t in tokens]
    types = [BYTE if len(t) == 6 and t.startswith("<0x") and t.endswith(">") else NORMAL for t in tokens]
    if model.get("unk_token") in model["vocab"]:
        types[model["vocab"][model["unk_token"]]] = UNKNOWN
    text = json.dumps([tokenizer.get("normalizer"), tokenizer.get("pre_tokenizer")])
    prefix = '"Prepend"' in text or ('"Metaspace"' in text and '"never"' not in text
                                     and '"add_prefix_space": false' not in text)
    return tokens, scores, types, prefix


# ---- all together


def _read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _content(t):
    return t["content"] if isinstance(t, dict) else t


def _place(tokens, scores, types, added):
    """Tokens added behind or inside the vocabulary."""
    for t in added:
        i = t["id"]
        while len(tokens) <= i:
            tokens.append(f"[PAD{len(tokens)}]")
            scores.append(-1e6)
            types.append(UNUSED)
        tokens[i] = t["content"]
        if types[i] not in (UNKNOWN, BYTE):
            types[i] = CONTROL if t.get("special") else USER


def _adds_bos(tokenizer, config, bos):
    if "add_bos_token" in config and config["add_bos_token"] is not None:
        return bool(config["add_bos_token"])
    return bos is not None and f'"id": "{bos}"' in json.dumps(
        (tokenizer.get("post_processor") or {}), ensure_ascii=False)


def _special(meta, config, model_config, generation, index):
    def by_id(name):
        v = generation.get(f"{name}_token_id", model_config.get(f"{name}_token_id"))
        return v[0] if isinstance(v, list) else v

    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        text = _content(config.get(f"{name}_token"))
        i = index.get(text) if text else by_id(name)
        if i is not None and 0 <= i < len(index):
            meta[f"tokenizer.ggml.{key}_token_id"] = i


def keys(directory, model_config, n_rows):
    """tokenizer.* metadata, or {"tokenizer.ggml.model": "none"} where there is no tokenizer."""
    directory = pathlib.Path(directory)
    tokenizer, config = _read(directory / "tokenizer.json"), _read(directory / "tokenizer_config.json")
    generation = _read(directory / "generation_config.json")
    spm = directory / "tokenizer.model"
    added, meta = tokenizer.get("added_tokens", []), {}
    if not tokenizer and not spm.exists():
        return {"tokenizer.ggml.model": "none"}
    model = tokenizer.get("model", {})
    if tokenizer and model["type"] != "BPE":
        raise SystemExit(f"tokenizer.json: model {model['type']}; BPE is supported")
    if spm.exists() or model.get("byte_fallback"):
        meta["tokenizer.ggml.model"] = "llama"
        tokens, scores, types, prefix = sentencepiece(spm) if spm.exists() else spm_from_json(tokenizer)
        meta["tokenizer.ggml.add_space_prefix"] = prefix
    else:
        meta["tokenizer.ggml.model"] = "gpt2"
        meta["tokenizer.ggml.pre"] = pre_tokenizer(tokenizer)
        tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda kv: kv[1])]
        scores, types = [0.0] * len(tokens), [NORMAL] * len(tokens)
        meta["tokenizer.ggml.merges"] = _merges(model)
    _place(tokens, scores, types, added)
    if len(tokens) > n_rows:
        raise SystemExit(f"{len(tokens)} tokens, {n_rows} rows of embeddings")
    _place(tokens, scores, types, [])
    while len(tokens) < n_rows:
        tokens.append(f"[PAD{len(tokens)}]")
        scores.append(-1e6)
        types.append(UNUSED)
    meta["tokenizer.ggml.tokens"] = tokens
    if meta["tokenizer.ggml.model"] == "llama":
        meta["tokenizer.ggml.scores"] = scores
    meta["tokenizer.ggml.token_type"] = (types, "i32")
    _special(meta, config, model_config, generation, {t: i for i, t in enumerate(tokens)})
    bos = _content(config.get("bos_token"))
    meta["tokenizer.ggml.add_bos_token"] = _adds_bos(tokenizer, config, bos)
    template = config.get("chat_template")
    if isinstance(template, list):
        template = next((t["template"] for t in template if t["name"] == "default"), None)
    if (directory / "chat_template.jinja").exists():
        template = (directory / "chat_template.jinja").read_text(encoding="utf-8")
    if template:
        meta["tokenizer.chat_template"] = template
    return meta
