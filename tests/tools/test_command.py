"""The hearth command from end to end, on the smallest model of fixtures/.

    test_command.py PROGRAM [ARGUMENT...]    the command, perhaps behind an emulator
"""
import csv
import io
import json
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = str(ROOT / "fixtures/models/books-draft-6m-q8_0.gguf")
PROGRAM = sys.argv[1:]
PROMPT = "It was a dark and stormy night, and the old house"
COMMANDS = ("generate", "chat", "tokenize", "perplexity", "inspect", "bench")


def run(*args, **kwargs):
    return subprocess.run([*PROGRAM, *map(str, args)], capture_output=True, timeout=300,
                          stdin=subprocess.DEVNULL, **kwargs)


def generate(*args):
    """The object of generate --json, greedy."""
    r = run("generate", "-m", MODEL, "--temp", 0, "--json", *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def split_model(path, folder, parts):
    """The file cut into parts as llama-gguf-split names and marks them; the first part's path."""
    raw = pathlib.Path(path).read_bytes()
    at = 24
    n_tensors, n_keys = struct.unpack_from("<QQ", raw, 8)
    widths = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def text():
        nonlocal at
        n, = struct.unpack_from("<Q", raw, at)
        at += 8 + n
        return raw[at - n:at]

    def value(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            element, n = struct.unpack_from("<IQ", raw, at)
            at += 12
            for _ in range(n):
                value(element)
        else:
            at += widths[kind]

    first = at
    for _ in range(n_keys):
        text()
        kind, = struct.unpack_from("<I", raw, at)
        at += 4
        value(kind)
    keys, infos = raw[first:at], []
    for _ in range(n_tensors):
        name = text()
        rank, = struct.unpack_from("<I", raw, at)
        dims = raw[at:at + 4 + 8 * rank]
        kind, offset = struct.unpack_from("<IQ", raw, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        infos.append((name, dims, kind, offset))
    data = raw[at + -at % 32:]
    ends = [i[3] for i in infos[1:]] + [len(data)]

    def pair(key, kind, form, number):
        return struct.pack("<Q", len(key)) + key + struct.pack("<I" + form, kind, number)

    for part in range(parts):
        mine = range(part * n_tensors // parts, (part + 1) * n_tensors // parts)
        head = (pair(b"split.no", 2, "H", part) + pair(b"split.count", 2, "H", parts) +
                pair(b"split.tensors.count", 5, "i", n_tensors))
        out = struct.pack("<4sIQQ", b"GGUF", 3, len(mine), 3 + (0 if part else n_keys))
        out += (b"" if part else keys) + head
        base = infos[mine[0]][3]
        for i in mine:
            name, dims, kind, offset = infos[i]
            out += struct.pack("<Q", len(name)) + name + dims
            out += struct.pack("<IQ", kind, offset - base)
        out += bytes(-len(out) % 32) + data[base:ends[mine[-1]]]
        (folder / f"m-{part + 1:05}-of-{parts:05}.gguf").write_bytes(out)
    return folder / f"m-00001-of-{parts:05}.gguf"


class Base(unittest.TestCase):
    def assert_refused(self, status, pattern, *args):
        """Exit status, nothing on stdout, one line on stderr that matches."""
        r = run(*args)
        text = r.stderr.decode()
        self.assertEqual((r.returncode, r.stdout), (status, b""), (args, text))
        self.assertRegex(text, r"\Ahearth: [^\n]+: [^\n]+\n\Z", args)
        self.assertRegex(text, pattern, args)


class Help(Base):
    def test_every_command_prints_its_options(self):
        text = run("-h").stdout.decode()
        for name in COMMANDS:
            self.assertIn(f"  {name} ", text)
            r = run(name, "-h")
            self.assertEqual((r.returncode, r.stderr), (0, b""))
            self.assertIn("-m FILE", r.stdout.decode())

    def test_commands_that_this_build_has_not_say_so(self):
        here, _, later = run("-h").stdout.decode().partition("Not in this build:")
        names = set(re.findall(r"HC_(?:LATER_)?COMMAND\((\w+)", (ROOT / "tools/commands.def").read_text()))
        self.assertGreater(len(names), 10)
        for name in names:
            self.assertNotEqual(f"  {name} " in here, f"  {name} " in later, name)
            if f"  {name} " in here:
                self.assertEqual(run(name, "-h").returncode, 0, name)
            else:
                self.assert_refused(2, rf"hearth: {name}: not in this build", name)

    def test_version(self):
        self.assertRegex(run("--version").stdout.decode(), r"\Ahearth \d+\.\d+\.\d+\n\Z")


class Usage(Base):
    def test_wrong_command_lines_are_one_line_and_exit_2(self):
        g = ("generate", "-m", MODEL, "-p", "x")
        rows = [
            ((), "command: none given"),
            (("generat",), "generat: no command"),
            (("generate",), "-m: not given"),
            (("generate", "-m"), "-m: nothing follows"),
            (("generate", "-m", MODEL), "-p: not given"),
            ((*g, "-f", "x"), "-p and -f"),
            ((*g, "--frobnicate"), "--frobnicate: no option of generate"),
            ((*g, "positional"), "positional: no option"),
            ((*g, "-n", "many"), "-n: many; a whole number"),
            ((*g, "-n", "-2"), "-n: -2"),
            ((*g, "-n", "99999999999999999999"), "-n: 9999"),
            ((*g, "-c", "0"), "-c: 0"),
            ((*g, "--temp", "hot"), "--temp: hot"),
            ((*g, "--temp", "nan"), "--temp: nan"),
            ((*g, "--top-p", "1.5"), "--top-p: 1.5"),
            ((*g, "-s", "-1"), "-s: -1"),
            ((*g, "--cpu-mask", "3-1"), "--cpu-mask: 3-1"),
            ((*g, "--cpu-mask", "0x0"), "--cpu-mask: 0x0"),
            ((*g, "--memory-limit", "2X"), "--memory-limit: 2X"),
            ((*g, "-t", "1000"), "threads: 1000"),
            ((*g, "--level", "sse9"), "--level: sse9; this machine runs scalar"),
            ((*g, "--ctk", "q9_9"), "q9_9"),
            ((*g, "--draft-max", "65"), "--draft-max: 65"),
            ((*g, "--samplers", "top_k;beam"), 'stage "beam"; known: penalties'),
            ((*g, "--logit-bias", "5x"), '"5x"; ID[+]X or ID-X'),
            ((*g, "--logit-bias", "5+inf"), '"5[+]inf"; ID[+]X or ID-X'),
            ((*g, "--mirostat", "1"), "mirostat 1; 0 .off. and 2"),
            ((*g, "--typical", "0"), "--typical: 0"),
            ((*g, "--dry-base", "0.9"), "--dry-base: 0.9"),
            ((*g, "--xtc-threshold", "1.1"), "--xtc-threshold: 1.1"),
            ((*g, "--weights", "q3_k"), "--weights: q3_k; q8_0 and bf16 are accepted"),
            ((*g, *["--stop", "a"] * 17), "--stop: given more than 16"),
            ((*g[:-1], ""), "-p: no tokens"),
            ((*g, "a\nb"), r"a\\nb: no option"),
            (("tokenize", "-m", MODEL, "-p", "x", "--inputs", "y"), "--inputs: given with"),
            (("perplexity", "-m", MODEL), "-f: not given"),
            (("perplexity", "-m", MODEL, "--tokens", "x", "--token-width", "24"), "16 and 32"),
            (("bench", "-m", MODEL, "-o", "xml"), "-o: xml; md, csv"),
            (("bench", "-m", MODEL, "-t", "1,x"), "-t: x"),
            (("inspect", "-m", MODEL, "-c", "64", "--profile", "64"), "--profile: 64"),
        ]
        for args, pattern in rows:
            with self.subTest(args=args):
                self.assert_refused(2, pattern, *args)


class Guessing(Base):
    def generate(self, *args):
        r = run("generate", "-m", MODEL, "-p", "The house. The house. The", "-n", "40", "--json", *args)
        if b"this build has none" in r.stderr:
            self.skipTest("built without HEARTH_SPECULATION")
        self.assertEqual(r.returncode, 0, r.stderr)
        return json.loads(r.stdout)

    def test_a_draft_and_a_lookup_change_no_token(self):
        for temp in ("--temp", "0"), ("--temp", "0.8", "-s", "3"):
            plain = self.generate(*temp)
            self.assertEqual(plain["speculative"], {"drafted": 0, "accepted": 0, "passes": 40})
            looked = self.generate(*temp, "--lookup")
            self.assertEqual(looked["tokens"], plain["tokens"])
        drafted = self.generate("--temp", "0", "--draft", MODEL, "--draft-max", "3")
        self.assertEqual(drafted["tokens"], self.generate("--temp", "0")["tokens"])
        count = drafted["speculative"]
        self.assertEqual(list(count), ["drafted", "accepted", "passes", "off"])
        self.assertLessEqual(count["accepted"], count["drafted"])
        self.assertEqual(count["passes"] + count["accepted"], 40)

    def test_logprobs_come_with_json(self):
        r = self.generate("--temp", "0", "--logprobs", "3")
        self.assertEqual([row["token"] for row in r["logprobs"]], r["tokens"])
        for row in r["logprobs"]:
            self.assertEqual(len(row["top"]), 3)
            self.assertEqual(row["top"][0]["token"], row["token"])
            self.assertTrue(0 >= row["logprob"] >= row["top"][1]["logprob"] >= row["top"][2]["logprob"])

    def test_a_bias_bans_a_token(self):
        first = self.generate("--temp", "0")["tokens"][0]
        banned = self.generate("--temp", "0", "--logit-bias", f"{first}-inf")["tokens"]
        self.assertNotIn(first, banned)


class Files(Base):
    def test_refused_files_are_one_line_and_exit_3(self):
        whole = pathlib.Path(MODEL).read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            os.mkfifo(folder / "fifo")
            rows = {
                "missing.gguf": None, "": None, "fifo": None,
                "empty.gguf": b"", "short.gguf": b"GGUF", "zeros.gguf": bytes(4096),
                "text.gguf": b"not a model\n" * 100, "line\nbreak.gguf": b"nothing",
                "version.gguf": whole[:4] + struct.pack("<I", 99) + whole[8:4096],
                "metadata.gguf": whole[:1000], "tensors.gguf": whole[:-100000],
            }
            for name, content in rows.items():
                if content is not None:
                    (folder / name).write_bytes(content)
                for command in (("generate", "-p", "x"), ("inspect",), ("bench",)):
                    with self.subTest(file=name, command=command):
                        self.assert_refused(3, "hearth: .*: ", command[0], "-m", folder / name,
                                            *command[1:])

    def test_texts_that_cannot_be_read(self):
        for name in ("/nonexistent/text", "/"):
            self.assert_refused(3, f"hearth: {name}: ", "tokenize", "-m", MODEL, "-f", name)

    def test_a_later_part_of_a_split_model_names_the_first(self):
        self.assert_refused(2, "part 2 of a split model", "generate", "-p", "x",
                            "-m", "x-00002-of-00003.gguf")
        self.assert_refused(3, "x-00001-of-00003.gguf", "generate", "-p", "x",
                            "-m", "x-00001-of-00003.gguf")

    def test_the_parts_of_a_split_model_are_one_model(self):
        want = generate("-p", PROMPT, "-n", 8)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            part = split_model(MODEL, folder, 3)
            r = run("generate", "-m", part, "--temp", 0, "--json", "-p", PROMPT, "-n", 8)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(json.loads(r.stdout)["tokens"], want["tokens"])
            (folder / "m-00002-of-00003.gguf").unlink()
            self.assert_refused(3, "m-00002-of-00003.gguf", "generate", "-m", part, "-p", "x")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([*PROGRAM, "tokenize", "-m", MODEL, "-p", "x"], stdout=full,
                               stderr=subprocess.PIPE, timeout=300)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"standard output: cannot be written", r.stderr)


class Limits(Base):
    def test_memory_limit(self):
        self.assert_refused(4, "accepted|allowed|limit", "generate", "-m", MODEL, "-p", "x",
                            "--memory-limit", "1M")
        size = os.path.getsize(MODEL)
        self.assert_refused(4, ".", "generate", "-m", MODEL, "-p", "x",
                            "--memory-limit", size + 100000)
        d = generate("-p", "x", "-n", 1, "--memory-limit", "1G")
        self.assertEqual(len(d["tokens"]), 1)

    def test_a_plan_over_the_limit_is_refused_with_both_numbers(self):
        size = os.path.getsize(MODEL)
        r = self.assert_refused(4, "limit", "generate", "-m", MODEL, "-p", "x",
                                "--memory-limit", size + (4 << 20))
        r = run("generate", "-m", MODEL, "-p", "x", "--memory-limit", size + (4 << 20))
        numbers = [int(n) for n in re.findall(rb"\d{6,}", r.stderr)]
        self.assertIn(4 << 20, numbers)
        self.assertGreater(sum(numbers) - (4 << 20), 4 << 20)  # asked and in use

    def test_dry_run_prints_the_plan_of_the_run(self):
        r = run("generate", "-m", MODEL, "--dry-run", "--json", "-c", 512)
        self.assertEqual(r.returncode, 0, r.stderr)
        plan = json.loads(r.stdout)["plan"]
        inspected = run("inspect", "-m", MODEL, "--json", "-c", 512)
        self.assertEqual(plan["session_bytes"],
                         json.loads(inspected.stdout)["plan"]["session_bytes"])
        self.assertEqual(plan["limit_bytes"], 2 << 30)
        self.assertGreaterEqual(plan["session_bytes"],
                                plan["kv_bytes"] + plan["activation_bytes"] + plan["scratch_bytes"])
        self.assertIn(b"memory plan", run("generate", "-m", MODEL, "--dry-run").stdout)
        self.assert_refused(4, "limit", "generate", "-m", MODEL, "--dry-run", "--memory-limit", "9M")

    @unittest.skipIf("HEARTH_SANITIZED" in os.environ, "a sanitizer takes memory of its own")
    def test_the_peak_is_within_the_plan(self):
        d = generate("-p", PROMPT, "-n", 4, "--ignore-eos")
        self.assertLessEqual(d["memory"]["peak_rss_bytes"], d["memory"]["planned_bytes"] * 1.05 + 1e6)

    @unittest.skipIf("HEARTH_SANITIZED" in os.environ, "a sanitizer needs the address space")
    def test_memory_that_the_system_refuses_is_an_error(self):
        def few():
            resource.setrlimit(resource.RLIMIT_AS, (96 << 20, 96 << 20))
        r = subprocess.run([*PROGRAM, "generate", "-m", MODEL, "-p", "x", "-t", "1", "-c", "200000"],
                           preexec_fn=few, capture_output=True, timeout=300)
        self.assertIn(r.returncode, (3, 4), r.stderr)
        self.assertRegex(r.stderr, rb"^hearth: [^\n]+\n$")

    def test_switches_change_no_text(self):
        want = generate("-p", PROMPT, "-n", 8, "--ignore-eos")["tokens"]
        for switch in (["--no-thread-pool"], ["--no-arena"], ["--no-simd-tokenizer"], ["--cpu-mask", "0", "--cpu-strict"]):
            self.assertEqual(generate("-p", PROMPT, "-n", 8, "--ignore-eos", *switch)["tokens"], want)

    def test_a_prompt_longer_than_the_context(self):
        self.assert_refused(4, "prompt: ", "generate", "-m", MODEL, "-p", PROMPT * 4, "-c", 16)


class Generate(Base):
    def test_object(self):
        d = generate("-p", PROMPT, "-n", 8, "--ignore-eos")
        self.assertEqual(list(d), ["text", "prompt_tokens", "tokens", "finish_reason", "timings",
                                   "speculative", "memory"])
        self.assertEqual(len(d["tokens"]), 8)
        self.assertEqual(d["finish_reason"], "length")
        self.assertEqual(list(d["timings"]),
                         ["prompt_n", "prompt_ms", "predicted_n", "predicted_ms"])
        self.assertEqual(d["timings"]["prompt_n"], len(d["prompt_tokens"]))
        self.assertEqual(d["timings"]["predicted_n"], 8)
        self.assertEqual(list(d["speculative"]), ["drafted", "accepted", "passes"])
        self.assertEqual(list(d["memory"]),
                         ["model_bytes", "kv_bytes", "planned_bytes", "peak_rss_bytes"])
        self.assertGreater(d["memory"]["planned_bytes"],
                           d["memory"]["model_bytes"] + d["memory"]["kv_bytes"])
        self.assertGreaterEqual(d["memory"]["model_bytes"], os.path.getsize(MODEL))

    def test_streamed_text_is_the_objects_text(self):
        d = generate("-p", PROMPT, "-n", 24, "--ignore-eos")
        r = run("generate", "-m", MODEL, "-p", PROMPT, "-n", 24, "--temp", 0, "--ignore-eos")
        self.assertEqual(r.stdout.decode(), d["text"])
        self.assertIn(b"24 tokens", r.stderr)

    def test_prompt_from_file_and_standard_input(self):
        want = generate("-p", PROMPT, "-n", 4)["tokens"]
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(PROMPT)
            f.flush()
            self.assertEqual(generate("-f", f.name, "-n", 4)["tokens"], want)
        r = subprocess.run([*PROGRAM, "generate", "-m", MODEL, "-f", "-", "-n", "4", "--temp", "0",
                            "--json"], input=PROMPT.encode(), capture_output=True, timeout=300)
        self.assertEqual(json.loads(r.stdout)["tokens"], want)

    def test_a_seed_repeats_and_is_printed_when_random(self):
        a = run("generate", "-m", MODEL, "-p", PROMPT, "-n", 16)
        seed = re.search(rb"seed (\d+)", a.stderr)[1].decode()
        b = run("generate", "-m", MODEL, "-p", PROMPT, "-n", 16, "-s", seed)
        self.assertEqual(a.stdout, b.stdout)
        self.assertNotIn(b"seed", b.stderr)

    def test_a_stop_string_ends_the_text_before_it(self):
        whole = generate("-p", PROMPT, "-n", 24, "--ignore-eos")["text"]
        word = whole.split()[3]
        d = generate("-p", PROMPT, "-n", 24, "--ignore-eos", "--stop", "never-there", "--stop",
                     word)
        self.assertEqual(d["finish_reason"], "stop")
        self.assertEqual(d["text"], whole[:whole.index(word)])

    def test_nothing_and_everything(self):
        self.assertEqual(generate("-p", PROMPT, "-n", 0)["tokens"], [])
        d = generate("-p", PROMPT, "-n", -1, "-c", 32, "--ignore-eos")
        self.assertEqual(len(d["prompt_tokens"]) + len(d["tokens"]) in (32, 33), True, d)

    def test_map_levels_and_masks_do_not_change_the_text(self):
        want = generate("-p", PROMPT, "-n", 8)["tokens"]
        for args in (["--no-mmap"], ["--level", "scalar"], ["--cpu-mask", "0"], ["-t", "1"],
                     ["-b", "3"]):
            self.assertEqual(generate("-p", PROMPT, "-n", 8, *args)["tokens"], want, args)

    def test_a_saved_sequence_is_not_computed_again(self):
        want = generate("-p", PROMPT, "-n", 8)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "kv")
            self.assertEqual(generate("-p", PROMPT, "-n", 8, "--save-kv", path)["tokens"], want["tokens"])
            again = generate("-p", PROMPT, "-n", 8, "--load-kv", path)
            self.assertEqual(again["tokens"], want["tokens"])
            self.assertEqual(again["cached_prompt_tokens"], len(want["prompt_tokens"]) - 1)
            other = generate("-p", PROMPT[:20], "-n", 8, "--load-kv", path)
            self.assertEqual(other["tokens"], generate("-p", PROMPT[:20], "-n", 8)["tokens"])
            self.assertGreater(other["cached_prompt_tokens"], 0)
            r = run("generate", "-m", MODEL, "-p", "x", "--load-kv", path, "--ctk", "f32")
            self.assertEqual(r.returncode, 3)
            self.assertIn(b"K cache of type f16; the session has f32", r.stderr)
            r = run("generate", "-m", MODEL, "-p", "x", "--load-kv", MODEL)
            self.assertEqual(r.returncode, 3)
            r = run("generate", "-m", MODEL, "-p", "x", "-n", 1, "--save-kv", folder)
            self.assertEqual(r.returncode, 1)

    def test_a_window_goes_on_past_the_context(self):
        args = ("-p", PROMPT, "-n", 300, "-c", 192, "--window", 40, "--keep", 4, "--ignore-eos")
        if b"without the KV cache" in run("generate", "-m", MODEL, *args).stderr:
            self.skipTest("a build without the KV cache drops nothing")
        d = generate(*args)
        self.assertEqual((len(d["tokens"]), d["finish_reason"]), (300, "length"))

    def test_without_the_kv_cache_the_text_is_the_same(self):
        self.assertEqual(generate("-p", PROMPT, "-n", 8, "--no-kv-cache")["tokens"],
                         generate("-p", PROMPT, "-n", 8)["tokens"])

    def test_ctrl_c_stops_with_one_line(self):
        p = subprocess.Popen([*PROGRAM, "generate", "-m", MODEL, "-p", PROMPT, "-n", "-1",
                              "--ignore-eos", "--temp", "0", "-t", "1"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        self.assertNotEqual(p.stdout.read(8), b"")
        p.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, err = p.communicate(timeout=60)
        self.assertLess(time.monotonic() - start, 10)
        if p.returncode != 0:  # the text may have been complete already
            self.assertEqual(p.returncode, 1)
            self.assertIn(b"stopped by Ctrl-C", err.splitlines()[-1])


class Tokenize(Base):
    def ids(self, *args):
        r = run("tokenize", "-m", MODEL, *args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return [json.loads(line) for line in r.stdout.decode().splitlines()]

    def test_one_text_is_one_line(self):
        self.assertEqual(self.ids("-p", PROMPT, "--no-bos"),
                         [[960, 330, 261, 1277, 288, 16379, 963, 14, 288, 263, 751, 962]])
        self.assertEqual(self.ids("-p", "", "--no-bos"), [[]])

    def test_a_file_is_one_text(self):
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"one\ntwo\n")
            f.flush()
            self.assertEqual(self.ids("-f", f.name), self.ids("-p", "one\ntwo\n"))

    def test_inputs_are_separated_by_marker_lines(self):
        mark = "__ggml_vocab_test__\n"
        texts = ["one", "", " ", "\n", "two\nlines\n", "in __ggml_vocab_test__ a line", "last"]
        rows = [(mark.join(t + "\n" for t in texts) + mark, texts),
                (mark.join(t + "\n" for t in texts), texts), (mark, [""]), ("", [])]
        for content, want in rows:
            with self.subTest(content=content), tempfile.NamedTemporaryFile("w") as f:
                f.write(content)
                f.flush()
                self.assertEqual(self.ids("--inputs", f.name, "--no-bos"),
                                 [self.ids("-p", t, "--no-bos")[0] for t in want])


class Perplexity(Base):
    def ppl(self, *args):
        r = run("perplexity", "-m", MODEL, "--json", *args)
        self.assertEqual(r.returncode, 0, r.stderr)
        d = json.loads(r.stdout)
        self.assertEqual(list(d), ["ppl", "nll", "n"])
        return d

    def test_widths_chunks_and_the_text_agree(self):
        text = (PROMPT + " stood on the hill. ") * 12
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "text").write_text(text)
            r = run("tokenize", "-m", MODEL, "-f", folder / "text", "--no-bos")
            ids = json.loads(r.stdout)
            (folder / "u16").write_bytes(struct.pack(f"<{len(ids)}H", *ids))
            (folder / "u32").write_bytes(struct.pack(f"<{len(ids)}I", *ids))
            (folder / "high").write_bytes(struct.pack("<2H", 65535, 1))
            (folder / "odd").write_bytes(b"abc")
            a = self.ppl("-f", folder / "text", "-c", 64)
            self.assertEqual(a["n"], len(ids) // 64 * 63)
            for args in (["--tokens", folder / "u16"], ["-f", folder / "text", "-b", 7],
                         ["--tokens", folder / "u32", "--token-width", 32]):
                self.assertEqual(self.ppl("-c", 64, *args), a, args)
            for name, pattern in (("high", "id 65535 at place 0"), ("odd", "3 bytes")):
                self.assert_refused(3, pattern, "perplexity", "-m", MODEL, "--tokens",
                                    folder / name, "-c", 2)
            self.assert_refused(2, "at least one window", "perplexity", "-m", MODEL, "-f",
                                folder / "text", "-c", 1024)


class Inspect(Base):
    def test_object(self):
        r = run("inspect", "-m", MODEL, "-c", 256, "--profile", 16, "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        d = json.loads(r.stdout)
        self.assertEqual((d["architecture"], d["vocab_size"], d["n_layers"], d["runs"]),
                         ("llama", 16384, 3, True))
        self.assertEqual(sum(t["bytes"] for t in d["tensors"]), d["weight_bytes"])
        self.assertIn([16384, 256], [t["shape"] for t in d["tensors"]])
        self.assertEqual(sum(t["tensors"] for t in d["types"].values()), len(d["tensors"]))
        self.assertEqual(d["plan"]["n_ctx"], 256)
        self.assertEqual(d["metadata"]["general.architecture"], "llama")
        self.assertTrue(all(d[k] and all(row["calls"] > 0 for row in d[k])
                            for k in ("prompt_ops", "token_ops")))

    def test_the_plan_follows_the_context(self):
        def plan(ctx):
            return json.loads(run("inspect", "-m", MODEL, "-c", ctx, "--json").stdout)["plan"]
        a, b = plan(256), plan(512)
        self.assertEqual(b["kv_bytes"] - a["kv_bytes"], 256 * a["kv_token_bytes"])

    def test_text(self):
        text = run("inspect", "-m", MODEL).stdout.decode()
        for part in ("metadata", "tensors", "types", "memory plan", "token_embd.weight"):
            self.assertIn(part, text)


class Grammar(Base):
    """Texts that have to follow a grammar, at a temperature where nothing else would hold them."""
    SCHEMA = {"type": "object", "required": ["name", "age"], "properties": {
        "name": {"type": "string", "maxLength": 10}, "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["cat", "dog"]}}}

    def text_of(self, flag, text, *args, command="generate"):
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(text)
            f.flush()
            return run(command, "-m", MODEL, "-p", "It was", flag, f.name, *args)

    def test_texts_parse(self):
        for seed in range(4):
            for more in ((), ("--lookup",)):
                r = self.text_of("--json-schema", json.dumps(self.SCHEMA), "--temp", 9, "-s", seed, "--top-k",
                                 0, "--min-p", 0, "--top-p", 1, *more)
                if b"reads no JSON" in r.stderr:
                    self.skipTest("built without JSON")
                value = json.loads(r.stdout)
                self.assertIsInstance(value["name"], str)
                self.assertIn(value["age"], range(100))
                self.assertIn(value.get("kind", "cat"), ("cat", "dog"))

    def test_the_text_ends_with_the_grammar(self):
        r = self.text_of("--grammar", 'root ::= "yes" | "no"', "--json", "-s", 1)
        out = json.loads(r.stdout)
        self.assertIn(out["text"], ("yes", "no"))
        self.assertEqual(out["finish_reason"], "stop")
        r = self.text_of("--grammar", 'root ::= [a-z]{4}', "--template", "chatml", "-s", 1, command="chat")
        self.assertRegex(r.stdout.decode(), r"\A[a-z]{4}\n\Z")

    def test_refusals_name_the_file_and_the_rule(self):
        r = self.text_of("--grammar", 'root ::= root "a"')
        self.assertEqual(r.returncode, 3)
        self.assertRegex(r.stderr.decode(), r"hearth: .*: grammar: rule root is left-recursive")
        r = run("generate", "-m", MODEL, "-p", "x", "--grammar", "/nonexistent")
        self.assertEqual(r.returncode, 3)


class Chat(Base):
    ARGS = ("-m", MODEL, "--template", "chatml", "-s", 1)

    def turns(self, text, *args):
        return subprocess.run([*PROGRAM, "chat", *map(str, (*self.ARGS, *args))], input=text.encode(),
                              capture_output=True, timeout=300)

    def test_a_model_without_template_names_them_all(self):
        self.assert_refused(3, "no chat template in it; --template takes llama3 .* deepseek2", "chat",
                            "-m", MODEL, "-p", "x")
        self.assert_refused(2, "--template: nonesuch; --template takes .*chatml", "chat", "-m", MODEL,
                            "-p", "x", "--template", "nonesuch")

    def test_a_message(self):
        r = run("chat", *self.ARGS, "-p", "Hi<|im_end|>", "--json", "-n", 5, "--show-prompt",
                "--system", "Be brief.")
        out = json.loads(r.stdout)
        self.assertEqual(out["finish_reason"], "length")
        self.assertEqual(len(out["tokens"]), 5)
        ids = out["prompt_tokens"]
        self.assertEqual((ids.count(1), ids.count(2)), (3, 2))  # the message's mark is plain text
        self.assertIn(b"prompt: <|im_start|>system\\nBe brief.<|im_end|>\\n<|im_start|>user\\nHi"
                      b"<|im_end|><|im_end|>\\n<|im_start|>assistant\\n\n", r.stderr)
        again = json.loads(run("chat", *self.ARGS, "-p", "Hi<|im_end|>", "--json", "-n", 5, "--system",
                               "Be brief.", "-t", 1).stdout)
        self.assertEqual((again["text"], again["tokens"]), (out["text"], out["tokens"]))

    def test_a_template_from_a_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as f:
            f.write("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")
            f.flush()
            r = run("chat", "-m", MODEL, "--template-file", f.name, "-p", "x", "-n", 1, "--show-prompt")
        if b"HEARTH_JINJA" not in r.stderr:
            self.assertIn(b"prompt: <user>x\n", r.stderr)

    def test_a_turn_computes_only_what_is_new(self):
        r = self.turns("First message\nAnd the second one\nA third\n", "-n", 8, "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        outs = [json.loads(x) for x in r.stdout.splitlines()]
        self.assertEqual(len(outs), 3)
        matched = [int(x) for x in re.findall(rb"(\d+) of them there already", r.stderr)]
        self.assertEqual(matched[0], 0)
        for i in (1, 2):
            before = outs[i - 1]["prompt_tokens"] + outs[i - 1]["tokens"]
            self.assertEqual(outs[i]["prompt_tokens"][:len(before)], before)
            # all but the token chosen last, which no step has run
            self.assertEqual(matched[i], len(before) - 1)
        # the same conversation at once gives the same answer: what is kept is what is computed
        alone = self.turns("First message\n", "-n", 8, "--json")
        self.assertEqual(json.loads(alone.stdout)["tokens"], outs[0]["tokens"])

    def test_interrupt_ends_the_answer_and_not_the_program(self):
        import select
        p = subprocess.Popen([*PROGRAM, "chat", *map(str, self.ARGS), "-n", "-1", "--ignore-eos"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             bufsize=0)
        for _ in range(2):
            p.stdin.write(b"Tell me a long story\n")
            self.assertTrue(os.read(p.stdout.fileno(), 1))  # this turn's: what came before was drained
            p.send_signal(signal.SIGINT)
            self.assertIn(b"; cancelled; ", p.stderr.readline())
            self.assertIn(b"memory: ", p.stderr.readline())
            while select.select([p.stdout], [], [], 0.1)[0]:
                os.read(p.stdout.fileno(), 65536)
        p.stdin.close()
        self.assertEqual(p.wait(timeout=60), 0)
        p.stdout.close()
        p.stderr.close()

    def test_a_terminal(self):
        import pty
        import select
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "dumb"
            os.execv(PROGRAM[0], [*PROGRAM, "chat", *map(str, self.ARGS), "-n", "-1", "--ignore-eos",
                                   "--window", "128"])  # an answer that has no end
        seen = b""

        def until(text):
            nonlocal seen
            end = time.monotonic() + 60
            while text not in seen:
                self.assertLess(time.monotonic(), end, seen)
                if select.select([fd], [], [], 1)[0]:
                    seen += os.read(fd, 65536)
            seen = seen[seen.index(text) + len(text):]

        until(b"> ")
        os.write(fd, b"Tell me a story\r")
        until(b"Tell me a story")
        time.sleep(0.5)
        os.write(fd, b"\x03")
        until(b"cancelled")
        until(b"> ")
        os.write(fd, b"/clear\r")
        until(b"> ")
        os.write(fd, b"/exit\r")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(fd)


class Bench(Base):
    def out(self, form):
        r = run("bench", "-m", MODEL, "-p", 8, "-n", 4, "-d", "0,8", "-t", 1, "-r", 2, "-o", form)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout.decode()

    def test_five_formats_of_the_same_rows(self):
        names = ["pp8", "tg4", "pp8 @ d8", "tg4 @ d8"]
        rows = json.loads(self.out("json"))
        self.assertEqual([r["test"] for r in rows], names)
        for key in ("model_filename", "model_size", "n_threads", "type_k", "type_v", "n_prompt",
                    "n_gen", "n_depth", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples",
                    "samples_ns", "samples_ts", "p50_ms", "p95_ms", "p99_ms", "gb_s",
                    "bandwidth_share", "core_to_core_ns", "peak_rss_bytes", "build_commit"):
            self.assertIn(key, rows[0])
        self.assertEqual([len(r["samples"]) for r in rows], [2] * 4)
        self.assertEqual([json.loads(x)["test"] for x in self.out("jsonl").splitlines()], names)
        self.assertEqual([r["test"] for r in csv.DictReader(io.StringIO(self.out("csv")))], names)
        self.assertEqual([x.split(" | ")[5] for x in self.out("md").splitlines()[2:]], names)
    def test_sequences_and_no_cache_are_rows_of_their_own(self):
        r = run("bench", "-m", MODEL, "-p", 0, "-n", 4, "--seqs", "1,3", "-d", 8, "-t", 1, "-r", 2, "-o",
                "json")
        self.assertEqual([(x["test"], x["n_seqs"]) for x in json.loads(r.stdout)],
                         [("tg4 @ d8", 1), ("tg4 x3 @ d8", 3)])
        r = run("bench", "-m", MODEL, "-p", 0, "-n", 4, "--no-kv-cache", "-r", 2, "-o", "json")
        self.assertEqual([x["test"] for x in json.loads(r.stdout)], ["tg4 no kv"])

    def test_the_sql_is_a_table(self):
        names = ["pp8", "tg4", "pp8 @ d8", "tg4 @ d8"]
        try:
            import sqlite3
        except ImportError:
            return
        with sqlite3.connect(":memory:") as db:
            db.executescript(self.out("sql"))
            self.assertEqual([x for (x,) in db.execute("SELECT test FROM test")], names)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
