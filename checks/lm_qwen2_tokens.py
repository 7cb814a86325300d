"""Records the tokens of transformers' Qwen2Tokenizer, for tests/it/lm_qwen2_tokens.json.

Usage: python checks/lm_qwen2_tokens.py > tests/it/lm_qwen2_tokens.json
Needs transformers. The vocabulary has all bytes and joins that show where a text is split.
"""

import json

from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

# The byte-level alphabet of GPT-2: printable bytes stand for themselves, others for characters from 256 on.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
LETTERS = {byte: chr(byte) for byte in PRINTABLE} | {
    byte: chr(256 + place) for place, byte in enumerate(OTHERS)
}

JOINS = [
    "1 2", "2 3", "12 3", "a b", "ab c", "' s", "' S", "' l", "'l l", "' r", "'r e", " a", " 1", "  ", " .",
    ". .", "! a", ". \n", ".\n \n", "\n \n", "\t a", "a 1", "1 a", "\n a", " \n", "' a", "a '", "c '",
]

TEXTS = [
    "abc123 abc", "12 123 1a a1", "abc's ABC'S abc'll we're 'abc", "a  b   c", " a\n\n b\r\n  a", "...abc !a (a)",
    ".\n\na", ".. .. \n", "\ta\t\ta", "   ", "a \n \n a", "caf\u00e9 cafe\u0301", "\u6771\u4eac12\u3002 a",
    "a'S'a", "\u00bd\u00b2 1\u0663", "\u00a0a\u3000a", "x\u200da \U0001f642a", "",
]


def letters(text):
    return "".join(LETTERS[byte] for byte in text.encode())


def pair(join):
    # A space that separates the halves stands after the first of them.
    left, right = (join[:-2], join[-1]) if join[-2] == " " else join.split(" ", 1)
    return (left or " "), right


def main():
    tokens = list(LETTERS.values())
    merges = []
    for join in JOINS:
        left, right = map(letters, pair(join))
        merges.append((left, right))
        tokens.append(left + right)
    tokens = list(dict.fromkeys(tokens)) + ["<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=merges)
    texts = [{"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in TEXTS]
    lists = {"tokens": tokens, "merges": [" ".join(merge) for merge in merges], "texts": texts}
    print("{")
    for name, values in lists.items():
        rows = ",\n".join("    " + json.dumps(value, ensure_ascii=True) for value in values)
        if name != "texts":
            rows = "    " + json.dumps(values)[1:-1]
        print(f'  "{name}": [\n{rows}\n  ]' + ("," if name != "texts" else ""))
    print("}")


main()
