"""hearth from Python: one file over the shared library, by ctypes.

    import hearth
    model = hearth.Model("model.gguf")
    for piece in model.generate("Once upon a time", max_tokens=64):
        print(piece, end="", flush=True)

    encoder = hearth.Encoder("embedder.onnx", "tokenizer.json")
    encoder.embed(["a text", "another"])       # numpy array, float32 [2][width]
    encoder.classify(["a text"])               # logits, float32 [1][labels]

The library is looked for in $HEARTH_LIBRARY, beside this file, and where the system keeps its libraries. Whatever goes
wrong raises hearth.Error with the library's sentence. An object serves one thread at a time; a Model may be
shared by any number of Sessions.
"""
from __future__ import annotations

import ctypes as c
import ctypes.util
import os
import pathlib
from typing import Iterator, Optional, Sequence

__version__ = "0.1.0"


class Error(Exception):
    """A status of hearth.h (`status`) and its sentence."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


def _struct(name: str, *fields: tuple) -> type:
    return type(name, (c.Structure,), {"_fields_": list(fields)})


_u32, _i32, _u64, _i64, _f32, _size, _str, _ptr = (
    c.c_uint32, c.c_int32, c.c_uint64, c.c_int64, c.c_float, c.c_size_t, c.c_char_p, c.c_void_p)

# The structs of hearth.h that are used here, by their names there.
STRUCTS = {}


def _public(name: str, *fields: tuple) -> type:
    STRUCTS[name] = _struct(name, *fields)
    return STRUCTS[name]


_Error = _public("hearth_error", ("status", c.c_int), ("text", c.c_char * 252))
_Allocator = _public("hearth_allocator", ("alloc", _ptr), ("free", _ptr), ("user", _ptr))
_Bytes = _public("hearth_bytes", ("data", _ptr), ("size", _size))
_ModelConfig = _public(
    "hearth_model_config", ("struct_size", _u32), ("flags", _u32), ("mem", _ptr), ("mem_bytes", _size),
    ("allocator", _Allocator), ("external_dir", _str), ("no_rewrites", _str), ("weights", c.c_int))
_ModelInfo = _public(
    "hearth_model_info", ("struct_size", _u32), ("kind", c.c_int), ("format", _str), ("architecture", _str),
    ("name", _str), ("file_type", _str), ("n_params", _u64), ("weight_bytes", _u64), ("model_bytes", _u64),
    ("vocab_size", _i32), ("n_ctx_train", _i32), ("n_layers", _i32), ("n_embd", _i32), ("n_heads", _i32),
    ("n_kv_heads", _i32), ("n_experts", _i32), ("n_experts_used", _i32))
_TokenizerConfig = _public("hearth_tokenizer_config", ("struct_size", _u32), ("allocator", _Allocator),
                           ("memory", _ptr), ("flags", _u32))
_PoolConfig = _public("hearth_pool_config", ("struct_size", _u32), ("n_threads", _i32), ("cpu_mask", _ptr),
                      ("cpu_mask_words", _size), ("spin_us", _u32), ("parallel", _ptr), ("parallel_user", _ptr),
                      ("allocator", _Allocator), ("flags", _u32))
_SessionConfig = _public(
    "hearth_session_config", ("struct_size", _u32), ("n_ctx", _i32), ("n_batch", _i32), ("n_seqs", _i32),
    ("n_kv_tokens", _i32), ("n_logits", _i32), ("kv_type_k", _str), ("kv_type_v", _str), ("pool", _ptr),
    ("level", _str), ("mem", _ptr), ("mem_bytes", _size), ("max_bytes", _u64), ("flags", _u32),
    ("allocator", _Allocator), ("observe", _ptr), ("observe_user", _ptr), ("kv_max_bytes", _u64),
    ("evict", c.c_int), ("n_sink", _i32), ("n_window", _i32), ("memory", _ptr))
# The first fields, which struct_size says are all that there is; the rest has its defaults.
_SamplerConfig = _public(
    "hearth_sampler_config", ("struct_size", _u32), ("temperature", _f32), ("top_k", _i32), ("top_p", _f32),
    ("min_p", _f32), ("repeat_penalty", _f32), ("presence_penalty", _f32), ("frequency_penalty", _f32),
    ("penalty_window", _i32), ("seed", _u64), ("stream", _u64))
_GenerationConfig = _public(
    "hearth_generation_config", ("struct_size", _u32), ("seq", _i32), ("max_tokens", _i32),
    ("stop", c.POINTER(_str)), ("n_stop", _size), ("ignore_end", _i32), ("sampler", _ptr), ("poll", _ptr),
    ("poll_user", _ptr), ("allocator", _Allocator), ("match_prompt", _i32))
_Piece = _public("hearth_piece", ("struct_size", _u32), ("token", _i32), ("text", _ptr), ("text_len", _size),
                 ("finish", c.c_int))
_EncoderConfig = _public(
    "hearth_encoder_config", ("struct_size", _u32), ("session", _ptr), ("tokenizer", _ptr), ("pooling", c.c_int),
    ("no_normalize", _i32), ("max_tokens", _i32), ("truncate", _i32), ("allocator", _Allocator),
    ("memory", _ptr))
_Encoding = _public("hearth_encoding", ("struct_size", _u32), ("values", c.POINTER(_f32)), ("n_values", _size),
                    ("n_tokens", _i32), ("truncated", _i32))

POOLINGS = {"model": 0, "mean": 1, "cls": 2, "last": 3}


def _load() -> c.CDLL:
    beside = pathlib.Path(__file__).with_name("libhearth.so.0")
    name = os.environ.get("HEARTH_LIBRARY") or (str(beside) if beside.exists() else None) \
        or ctypes.util.find_library("hearth") or "libhearth.so.0"
    library = c.CDLL(name)
    for function in ("bytes", "size"):
        getattr(library, f"hearth_file_{function}").argtypes = [_ptr]
    library.hearth_file_bytes.restype = _ptr
    library.hearth_file_size.restype = _size
    library.hearth_version.restype = _str
    for kind in ("file", "model", "tokenizer", "pool", "session", "sampler", "generation", "encoder"):
        close = getattr(library, f"hearth_{kind}_close")
        close.argtypes, close.restype = [_ptr], None
    return library


_lib = _load()


def version() -> str:
    return _lib.hearth_version().decode()


def _call(name: str, *args) -> None:
    """A function that returns a status and takes an error last."""
    err = _Error()
    if getattr(_lib, name)(*args, c.byref(err)):
        raise Error(err.status, err.text.decode())


def _config(kind: type, **values):
    config = kind(**values)
    config.struct_size = c.sizeof(kind)
    return config


class _Handle:
    """An opaque object of the library; closed once, by close, `with` or the collector."""

    _kind = ""

    def __init__(self, *args):
        self._p = _ptr()
        _call(f"hearth_{self._kind}_open", *args, c.byref(self._p))

    def close(self) -> None:
        if getattr(self, "_p", None):
            getattr(_lib, f"hearth_{self._kind}_close")(self._p)
            self._p = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


class _File(_Handle):
    _kind = "file"

    def __init__(self, path):
        super().__init__(os.fsencode(path), None)
        self.bytes = _Bytes(_lib.hearth_file_bytes(self._p), _lib.hearth_file_size(self._p))


class Pool(_Handle):
    """Worker threads that sessions share; 0: as many as compute best."""

    _kind = "pool"

    def __init__(self, threads: int = 0):
        super().__init__(c.byref(_config(_PoolConfig, n_threads=threads)))


class Model(_Handle):
    """A GGUF or ONNX file, mapped."""

    _kind = "model"

    def __init__(self, path):
        self._file = _File(path)
        config = _config(_ModelConfig)
        super().__init__(c.byref(self._file.bytes), _size(1), c.byref(config))
        self.info = _config(_ModelInfo)
        _lib.hearth_model_get_info(self._p, c.byref(self.info))

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        data = text.encode()
        tokens, n = (_i32 * (len(data) + 16))(), _size()
        _call("hearth_tokenize", self._p, data, _size(len(data)), _u32(1 if special else 0), tokens,
              _size(len(tokens)), c.byref(n))
        return list(tokens[:n.value])

    def generate(self, prompt: str, **options) -> Iterator[str]:
        """The text that follows, piece by piece, in a session of its own; options as Session.generate."""
        session_options = {k: options.pop(k) for k in ("n_ctx", "n_batch", "pool", "level") if k in options}
        with Session(self, **session_options) as session:
            yield from session.generate(prompt, **options)


class Session(_Handle):
    _kind = "session"

    def __init__(self, model: Model, n_ctx: int = 0, n_batch: int = 0, pool: Optional[Pool] = None,
                 level: Optional[str] = None):
        self.model, self._pool = model, pool
        config = _config(_SessionConfig, n_ctx=n_ctx, n_batch=n_batch, pool=pool._p if pool else None,
                         level=level.encode() if level else None)
        super().__init__(model._p, c.byref(config))

    def generate(self, prompt: str, max_tokens: int = 0, stop: Sequence[str] = (), temperature: float = 0.0,
                 top_k: int = 40, top_p: float = 0.95, min_p: float = 0.05, seed: int = 0) -> Iterator[str]:
        """Continue sequence 0 by the prompt and yield text until it ends; temperature 0 is greedy."""
        sampling = _config(_SamplerConfig, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
        strings = (_str * max(len(stop), 1))(*[s.encode() for s in stop])
        tokens = self.model.tokenize(prompt)
        with _Sampler(self.model._p, c.byref(sampling)) as sampler:
            config = _config(_GenerationConfig, max_tokens=max_tokens, stop=strings, n_stop=len(stop),
                             sampler=sampler._p)
            with _Generation(self._p, c.byref(config)) as generation:
                _call("hearth_generation_prompt", generation._p, (_i32 * len(tokens))(*tokens),
                      _size(len(tokens)))
                piece = _config(_Piece)
                while piece.finish == 0:
                    _call("hearth_generation_next", generation._p, c.byref(piece))
                    if piece.text_len:
                        yield c.string_at(piece.text, piece.text_len).decode()


class _Sampler(_Handle):
    _kind = "sampler"


class _Generation(_Handle):
    _kind = "generation"


class Tokenizer(_Handle):
    """A tokenizer.json or a vocab.txt."""

    _kind = "tokenizer"

    def __init__(self, path):
        with _File(path) as file:
            super().__init__(c.byref(file.bytes), c.byref(_config(_TokenizerConfig)))


class Encoder(_Handle):
    """Texts through a graph of tensors: embeddings and classes, as numpy arrays."""

    _kind = "encoder"

    def __init__(self, model, tokenizer=None, pooling: str = "model", normalize: bool = True,
                 truncate: bool = False, pool: Optional[Pool] = None):
        self.model = model if isinstance(model, Model) else Model(model)
        self._tokenizer = tokenizer if tokenizer is None or isinstance(tokenizer, Tokenizer) \
            else Tokenizer(tokenizer)
        self._session = Session(self.model, pool=pool)
        super().__init__(c.byref(_config(
            _EncoderConfig, session=self._session._p, tokenizer=self._tokenizer._p if self._tokenizer else None,
            pooling=POOLINGS[pooling], no_normalize=not normalize, truncate=truncate)))

    def close(self) -> None:
        super().close()
        for part in ("_session", "_tokenizer", "model"):
            if getattr(self, part, None) and part != "model":
                getattr(self, part).close()

    def _encode(self, function: str, texts: Sequence[str]):
        import numpy
        rows, out = [], _config(_Encoding)
        for text in texts:
            data = text.encode()
            _call(function, self._p, data, _size(len(data)), c.byref(out))
            rows.append(numpy.ctypeslib.as_array(out.values, (out.n_values,)).copy())
        return numpy.stack(rows) if rows else numpy.zeros((0, 0), numpy.float32)

    def embed(self, texts: Sequence[str]):
        return self._encode("hearth_encoder_embed", texts)

    def classify(self, texts: Sequence[str]):
        return self._encode("hearth_encoder_classify", texts)
