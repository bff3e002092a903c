#!/usr/bin/env python3
"""Compare every pre-tokenizer with its regular expression as run by the `tokenizers` package.

usage: tools/check_pretokenizers.py [--n 100000] [--seed 1] [--only NAME] PRESPLIT
       tools/check_pretokenizers.py --store tests/tokenizer/pretok_cases.txt PRESPLIT

PRESPLIT is the program built from tests/tokenizer/presplit.c. The first form runs the corpus below
and n random strings per distinct expression; the second writes the expected words of the corpus, which
tests/tokenizer/test_pretok.c replays without Python. Every row of pretokenizers.def must be named here.
"""
import argparse
import random
import struct
import subprocess
import sys
import unicodedata

from tokenizers import Regex, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
FOLD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = FOLD + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACE
QWEN2 = FOLD + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACE
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+%s|" \
        r"[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*%s|" \
        r"%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACE
DS_WORDS = ("A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
            "Ḁ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\u1f5f-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌ\u1fd0-\u1fd3\u1fd6-\u1fdbῠ-Ῥῲ-ῴῶ-ῼ"
            "ℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
            "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
CJK_HANGUL = "[一-龥ࠀ-一가-퟿]+"
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
             r"| ?[\p{P}\p{S}]+[\r\n]*|" + SPACE)
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
JAIS2 = FOLD + (r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
                r"\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|"
                r"\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}")

# one expression per stage -> the names that use them
VARIANTS = [
    ([GPT2], "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum "
             "modern-bert jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe"),
    ([r"\p{N}", GPT2], "starcoder smollm refact command-r codeshell exaone minerva-7b mellum2"),
    ([r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"], "falcon"),
    ([r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], "default"),
    ([LLAMA3], "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx "
               "smaug-bpe glm4 chatglm-bpe"),
    ([JAIS2], "jais-2"),
    ([r"\p{N}{1,3}", LLAMA3.replace("{1,3}", "+")], "minicpm5"),
    ([QWEN2], "qwen2 deepseek-r1-qwen megrez kormo f2llmv2 stablelm2 hunyuan solar-open grok-2"),
    ([r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
      r"\s+(?!\S)|\s+"], "bailingmoe bailingmoe2 llada-moe"),
    ([r"[^\n]+|[\n]+", QWEN2], "laguna"),
    ([FOLD + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + SPACE], "qwen35"),
    ([FOLD + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|" + SPACE], "seed-coder"),
    ([QWEN2[len(FOLD) + 1:]], "ufakzeka"),
    ([CASED % (FOLD + "?", FOLD + "?", r"\p{N}{1,3}")], "gpt-4o llama4 kanana2 talkie minimax-m2"),
    ([CASED % ("", "", r"\p{N}")], "tekken"),
    ([r"[\r\n]", r"\s?[" + DS_WORDS + "]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", CJK_HANGUL, r"\p{N}+"],
     "deepseek-llm"),
    ([r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK_HANGUL, r"\p{N}"], "deepseek-coder"),
    ([r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3], "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
    ([BLOOM], "bloom poro-chat gpt3-finnish"),
    ([BLOOM, r"\p{N}"], "viking"),
]

CORPUS = [
    "Hello, world!", " leading and trailing ", "a  b   c    d", "tabs\tand\t\tmore \t mixed",
    "It's we've I'll they're he'd I'm don't", "IT'S WE'VE I'LL THEY'RE HE'D I'M DON'T It'S wE'vE",
    "it'ſ 's't're've'm'll'd 'x ' 'S'T 'lLa ''s '", "'tis 'twas rock'n'roll O'Neil l'eau d'Ll",
    "1 12 123 1234 12345 123456 1234567", "v1.2.3-rc4 0x1F 3.14e-10 1,000,000 50% 20°C",
    "x²+y³=½ Ⅻ ⅷ ①②③ ٠١٢٣ १२३४ 𝟘𝟙𝟚 百二十", "a1b2c3 1a 22bb 333ccc4444dddd",
    "line one\nline two\r\nline three\n\n\n  indented\n\t\ttabs\r\r\n \n", "\n", "\r\n", "  \n  \n  x", " \n", "x \n",
    "trailing   ", "trailing\n   ", "   ", " ", "", "\t", "a\u00a0b\u00a0\u00a0c", "a\u0085b\u2028c\u2029d\u000be\u000cf",
    "\u3000全角\u3000空白。\u3000\u3000", "a\u200bb\u200dc\ufeffd\u00ade", "\u202eright\u202c to left",
    "我想在apple工作1314151天～ 你好，世界！「引用」、…", "ひらがなカタカナ漢字ー々〆 ｶﾀｶﾅ", "한국어 띄어쓰기 테스트ㄱㄴㄷ 안녕하세요!",
    "กาแฟ ๑๒๓ สวัสดีครับ", "नमस्ते दुनिया। हिन्दी में १२३", "বাংলা ভাষা", "தமிழ் எழுத்து", "ខ្មែរ កាន់តែ",
    "العربية، مرحبا؟ ١٢٣ ۔", "עברית שָׁלוֹם", "Ελληνικά Ὀδυσσεύς ΐΰ ὼ", "Привет МИР мИр", "Հայերեն հայ", "ქართული ᲥᲐᲠᲗᲣᲚᲘ",
    "Ǆungla ǅ ǆ Ǉ ǈ ᾈ ᾼ", "iPhone GitHubActions HTTPServer parseJSONData XMLHttpRequest aB AbC ABc", "camelCaseʰMod ʼn ªº",
    "中文ABCdef中Ab文aB 日本GO語", "e\u0301cole E\u0301COLE \u0301x \u0301\u0302 a\u0300\u0301b n\u0303\u0303", "Z\u0351\u036b\u0343\u036a algo",
    "😀😃 👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ 1️⃣ #️⃣", "🚀 (normal) 😶‍🌫️ (multiple emojis) ✅!", "!!!??? ...  ,,,;;; --- === +++ ~~~",
    "foo(bar){baz[0]} // comment\n/* c */ #include <x.h>", "path/to/file.txt C:\\dir\\f https://ex.am/p?q=1&r=2#f",
    "a/b//c/// d/ /e\n/f!/\n/\n", "!\n\n?\r\nx!\n y", "\"quoted\" 'single' ‘curly’ “double” «guillemets» „low‟",
    "$5 £6 €7 ¥8 5$ $$ ^^ `code` ``` |a|b| <tag> a<b>c", "@user #tag @@ ## %%20 &amp;", "_under_score_ __init__ snake_case",
    "$foo %bar &baz *qux +a -b .c /d :e ;f =g ?h @i [j \\k ]l ^m _n `o {p |q }r ~s", "! a ?b !É $é",
    "\x00\x01\x02 ctrl \x1b[0m \x7f", "\ue000 private \U000f0000", "\u0378 unassigned", "\ufffd replaced",
    "＄ＡＢＣ１２３！～ ａｂｃ", "a,b.c!d?e…f。g，h、i।j۔k،l(m)n|o", ". ,  .a (b) c", "  .  ,x", "\u2581\u2581x \u2581",
    "     x" * 3, " " * 9 + "x", " " * 17, "\t" * 5 + "y", "\u00a0 \u2003 z", "x" * 40 + "1" * 40 + "!" * 40,
    "Ⅷ ⅷ ⓐ Ⓐ ʻokina ꞌ", "mixed१2३four٥", "1\u03012 ½\u0338", "٣\u0660\u0661\u0662\u0663x", "𞤀𞤣𞤢𞤤𞤢𞤥 𐐀𐐨 𐒰𐓘", "ﬁﬂ ﬓ ﷲ ﻻ",
]

POOL = {
    3: list("abcxyz") + list("ABXYZ") + ["12", "1234", "1234567", "٣٣٣٣", "aB", "ABc", "中a", "éÀ", "    "], 2: list("'’`") + ["'s", "'T", "'re", "'LL", "'ve", "'D", "'m", "'ſ"],
    4: [" ", " ", "  ", "\n", "\r", "\r\n", "\t", "\u00a0", "\u2003", "\u3000", "\u0085", "\u2028", "\v"],
    1: list("0123456789") + list("²½Ⅷ٣४①𝟘百") + list(".,;:!?()[]{}<>/\\|@#$%^&*-_=+~\"")
       + list("…。，、।۔،「」～！‘‟") + list("éßÀŽñΐΩяЯǅʰªªʼ中文漢字ひカ한ㄱกมअकاשა")
       + ["\u0301", "\u0300", "\u093e", "\u0e34", "\u20dd", "\u200d", "\u200b", "\ufeff", "\ufffd", "\x00", "\x1b"]
       + list("😀👩🏽🇩❤️°©×÷€") + ["\ue000", "\U0001e900", "\U00010400", "\u1c90", "\u2581"],
}


def random_text(rng):
    weights, groups = list(POOL), list(POOL.values())
    if rng.random() < 0.1:  # any assigned code point
        chars = []
        for _ in range(rng.randrange(1, 12)):
            cp = rng.randrange(0x110000 if rng.random() < 0.1 else 0x3000)
            if not 0xD800 <= cp < 0xE000 and unicodedata.category(chr(cp)) != "Cn":
                chars.append(chr(cp))
        return "".join(chars)
    return "".join(rng.choice(g) for g in rng.choices(groups, weights, k=rng.randrange(1, 24)))


def reference(stages):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(s), "isolated") for s in stages])


def expected(pre, text):
    return [w.encode() for w, _ in pre.pre_tokenize_str(text)] if text else []


class Ours:
    def __init__(self, program, name):
        self.p = subprocess.Popen([program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, text):
        data = text.encode()
        self.p.stdin.write(struct.pack("<I", len(data)) + data)
        self.p.stdin.flush()
        count, = struct.unpack("<I", self.p.stdout.read(4))
        lengths = struct.unpack(f"<{count}I", self.p.stdout.read(4 * count))
        words, pos = [], 0
        for n in lengths:
            words.append(data[pos:pos + n])
            pos += n
        return words


def escape(word):
    return "".join(chr(b) if 0x21 <= b < 0x7F and b not in b"\\|" else f"\\{b:02x}" for b in word)


def store(path):
    with open(path, "w") as out:
        out.write("# Expected words, made by tools/check_pretokenizers.py from the regular expressions.\n"
                  "# NAMES, then a text a line: words between |, other bytes than printable ASCII as \\hh.\n")
        for stages, names in VARIANTS:
            pre = reference(stages)
            out.write(f"= {names}\n")
            for text in CORPUS:
                if text:
                    out.write("|".join(map(escape, expected(pre, text))) + "\n")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("presplit")
    args.add_argument("--n", type=int, default=100000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--only")
    args.add_argument("--store")
    args = args.parse_args()
    rows = subprocess.run([args.presplit], capture_output=True, text=True, check=True).stdout.split()
    named = " ".join(names for _, names in VARIANTS).split()
    if sorted(rows) != sorted(named):
        sys.exit(f"check_pretokenizers: rows without expression or the reverse: {set(rows) ^ set(named)}")
    if args.store:
        return store(args.store)
    failed = 0
    for stages, names in VARIANTS:
        names = names.split()
        if args.only and args.only not in names:
            continue
        rng = random.Random(args.seed)
        pre, ours, bad = reference(stages), Ours(args.presplit, names[0]), 0
        texts = CORPUS + [random_text(rng) for _ in range(args.n)]
        for text in texts:
            want, got = expected(pre, text), ours(text)
            if want != got:
                bad += 1
                if bad <= 3:
                    print(f"{names[0]}: {text!r}\n  want {[w.decode() for w in want]}\n  got  "
                          f"{[w.decode(errors='replace') for w in got]}")
        print(f"{names[0]}: {len(texts)} texts, {bad} differ", flush=True)
        failed += bad > 0
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
