"""Checks by hand that peft reads the adapters that proxmo writes, and gives the same log-probabilities.

Usage: python checks/lm_peft.py PROXMO MODEL
  PROXMO  the program, MODEL  a folder in the layout of Hugging Face
Needs torch, transformers and peft. Fits adapters of several kinds to random tokens, then compares.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

KINDS = {
    "all maps": ["--lora", "4"],
    "two maps": ["--lora", "3", "--lora-targets", "q_proj,v_proj", "--lora-alpha", "7"],
    "rank-stabilised": ["--lora", "4", "--rslora"],
    "one layer": ["--lora", "2", "--lora-targets", "layers.0.mlp.down_proj,o_proj"],
}


def lm(program, command, *arguments, text=None):
    words = [program, "lm", command, "--backend", "flex", *map(str, arguments)]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout


def log_probs(model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1]
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def main(program, folder):
    vocabulary = json.loads((Path(folder) / "config.json").read_text())["vocab_size"]
    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(vocabulary, (4, 12), generator=draw).tolist()
    lines = "\n".join(json.dumps({"ids": row}) for row in rows)
    with tempfile.TemporaryDirectory() as root:
        for name, flags in KINDS.items():
            adapter = Path(root) / name
            training = ["--steps", 5, "--learning-rate", "1e-2", *flags, "--output", adapter]
            lm(program, "fit", "--model", folder, "--input", "-", *training, text=lines)
            scores = lm(program, "score", "--model", folder, "--adapter", adapter, "--input", "-", text=lines)
            base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            plain = log_probs(base, rows[0])
            model = PeftModel.from_pretrained(base, adapter)
            pairs = [
                (torch.tensor(json.loads(line)["log_probs"]), log_probs(model, row))
                for line, row in zip(scores.splitlines(), rows)
            ]
            largest = max((ours - theirs).abs().max().item() for ours, theirs in pairs)
            effect = (pairs[0][1] - plain).abs().max().item()
            print(f"{name}: largest difference {largest:.1e}, effect of the adapter {effect:.2f}")
            assert largest < 1e-4 < effect, name


if __name__ == "__main__":
    main(*sys.argv[1:])
