"""ONNX files with random weights in the exact shapes of real BERT encoders, for tools/synth_model.py.

The graph is laid out as torch exports one at opset 14: LayerNorm and GELU written out, attention from Reshape,
Transpose, MatMul and Softmax, dynamic batch and sequence. The messages are written here, field by field
(onnx.proto, version 1.12); no library is needed. Weights are one of 256 values, uniform with a standard deviation
of 0.02. The producer, the graph's name and a property say "synthetic".
"""
import dataclasses
import random
import struct

# ---- Protocol Buffers -----------------------------------------------------------------------------


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """An int, a text, bytes or a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    raw = value.encode() if isinstance(value, str) else bytes(value)
    return varint(number << 3 | 2) + varint(len(raw)) + raw


# ---- ONNX -----------------------------------------------------------------------------------------

F32, I64 = 1, 7
INT, INTS = 2, 7  # AttributeProto.type


def attribute(name, value):
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, INT)
    return field(1, name) + b"".join(field(8, v) for v in value) + field(20, INTS)


def tensor(name, kind, dims, raw):
    return b"".join(field(1, d) for d in dims) + field(2, kind) + field(8, name) + field(9, raw)


def value_info(name, kind, dims):
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


class Graph:
    def __init__(self, seed):
        self.seed, self.nodes, self.weights, self.count = seed, [], [], 0
        self.shared = {}

    def node(self, op, inputs, **attributes):
        out = f"{op.lower()}_{self.count}"
        self.count += 1
        self.nodes.append(b"".join(field(1, i) for i in inputs) + field(2, out) + field(3, f"n{self.count}") +
                          field(4, op) + b"".join(field(5, attribute(k, v)) for k, v in attributes.items()))
        return out

    def random(self, name, *dims, middle=0.0, std=0.02):
        count = 1
        for d in dims:
            count *= d
        table = [struct.pack("<f", middle + std * 1.7251 * (i / 127.5 - 1)) for i in range(256)]
        pick = random.Random(f"{self.seed}/{name}").randbytes(count)
        raw = bytearray(4 * count)
        for part in range(4):
            raw[part::4] = pick.translate(bytes(t[part] for t in table))
        self.weights.append(tensor(name, F32, dims, raw))
        return name

    def constant(self, kind, dims, values):
        key = (kind, tuple(dims), tuple(values))
        if key not in self.shared:
            self.shared[key] = f"constant_{len(self.shared)}"
            raw = struct.pack(f"<{len(values)}{'f' if kind == F32 else 'q'}", *values)
            self.weights.append(tensor(self.shared[key], kind, dims, raw))
        return self.shared[key]

    def scalar(self, value):
        return self.constant(F32, [], [value])

    def ints(self, *values):
        return self.constant(I64, [len(values)], values)

    # ---- what BERT is made of

    def layer_norm(self, name, x, width):
        off = self.node("Sub", [x, self.node("ReduceMean", [x], axes=[-1])])
        variance = self.node("ReduceMean", [self.node("Pow", [off, self.scalar(2.0)])], axes=[-1])
        root = self.node("Sqrt", [self.node("Add", [variance, self.scalar(1e-12)])])
        scaled = self.node("Mul", [self.node("Div", [off, root]), self.random(f"{name}.weight", width, middle=1.0)])
        return self.node("Add", [scaled, self.random(f"{name}.bias", width)])

    def dense(self, name, x, n_in, n_out):
        product = self.node("MatMul", [x, self.random(f"{name}.weight", n_in, n_out)])
        return self.node("Add", [self.random(f"{name}.bias", n_out), product])

    def gelu(self, x):
        erf = self.node("Erf", [self.node("Div", [x, self.scalar(2.0 ** 0.5)])])
        return self.node("Mul", [self.node("Mul", [x, self.node("Add", [erf, self.scalar(1.0)])]), self.scalar(0.5)])

    def heads(self, name, x, s, order):
        flat = self.dense(name, x, s.width, s.width)
        apart = self.node("Reshape", [flat, self.ints(0, 0, s.heads, s.width // s.heads)])
        return self.node("Transpose", [apart], perm=order)

    def layer(self, i, x, mask, s):
        name = f"layer.{i}"
        q = self.heads(f"{name}.query", x, s, [0, 2, 1, 3])
        k = self.heads(f"{name}.key", x, s, [0, 2, 3, 1])
        v = self.heads(f"{name}.value", x, s, [0, 2, 1, 3])
        scores = self.node("Div", [self.node("MatMul", [q, k]), self.scalar((s.width // s.heads) ** 0.5)])
        weights = self.node("Softmax", [self.node("Add", [scores, mask])], axis=-1)
        seen = self.node("Transpose", [self.node("MatMul", [weights, v])], perm=[0, 2, 1, 3])
        seen = self.node("Reshape", [seen, self.ints(0, 0, s.width)])
        x = self.layer_norm(f"{name}.attention.norm",
                            self.node("Add", [self.dense(f"{name}.output", seen, s.width, s.width), x]), s.width)
        wide = self.gelu(self.dense(f"{name}.up", x, s.width, s.ff))
        return self.layer_norm(f"{name}.norm", self.node("Add", [self.dense(f"{name}.down", wide, s.ff, s.width), x]),
                               s.width)


@dataclasses.dataclass(frozen=True)
class Encoder:
    title: str
    layers: int
    width: int
    heads: int
    ff: int
    labels: int  # 0: the output is the last hidden state
    vocab: int = 30522
    positions: int = 512


ENCODERS = {
    "tinybert-classifier": Encoder("TinyBERT-4L-312", 4, 312, 12, 1200, 2),
    "minilm-embedder": Encoder("MiniLM-L6-384", 6, 384, 12, 1536, 0),
}


def encoder_graph(s, seed):
    g = Graph(seed)
    mask = g.node("Cast", [g.node("Unsqueeze", ["attention_mask", g.ints(1, 2)])], to=F32)
    mask = g.node("Mul", [g.node("Sub", [g.scalar(1.0), mask]), g.scalar(-10000.0)])
    length = g.node("Gather", [g.node("Shape", ["input_ids"]), g.ints(1)], axis=0)
    places = g.constant(I64, [1, s.positions], range(s.positions))
    places = g.node("Slice", [places, g.ints(0), length, g.ints(1), g.ints(1)])
    x = g.node("Gather", [g.random("embeddings.word", s.vocab, s.width), "input_ids"], axis=0)
    x = g.node("Add", [x, g.node("Gather", [g.random("embeddings.type", 2, s.width), "token_type_ids"], axis=0)])
    x = g.node("Add", [x, g.node("Gather", [g.random("embeddings.position", s.positions, s.width), places], axis=0)])
    x = g.layer_norm("embeddings.norm", x, s.width)
    for i in range(s.layers):
        x = g.layer(i, x, mask, s)
    out, dims = "last_hidden_state", ["batch", "sequence", s.width]
    if s.labels:
        first = g.node("Gather", [x, g.constant(I64, [], [0])], axis=1)
        pooled = g.node("Tanh", [g.node("Gemm", [first, g.random("pooler.weight", s.width, s.width),
                                                 g.random("pooler.bias", s.width)], transB=1)])
        x = g.node("Gemm", [pooled, g.random("classifier.weight", s.labels, s.width, std=0.5),
                            g.random("classifier.bias", s.labels)], transB=1)
        out, dims = "logits", ["batch", s.labels]
    g.nodes.append(field(1, x) + field(2, out) + field(3, "last") + field(4, "Identity"))
    return g, out, dims


def write(path, name, seed):
    s = ENCODERS[name]
    g, out, dims = encoder_graph(s, seed)
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    title = f"synthetic {s.title} (random weights in its shape)"
    graph = b"".join(field(1, n) for n in g.nodes) + field(2, title) + b"".join(field(5, w) for w in g.weights) + \
        b"".join(field(11, value_info(i, I64, ["batch", "sequence"])) for i in inputs) + \
        field(12, value_info(out, F32, dims))
    model = field(1, 7) + field(2, "hearth tools/synth_model.py: synthetic") + field(7, graph) + \
        field(8, field(1, "") + field(2, 14)) + field(14, field(1, "origin") + field(2, title))
    with open(path, "wb") as f:
        f.write(model)
    return len(model)
