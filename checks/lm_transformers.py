"""Checks by hand that transformers reads the models that proxmo writes, and gives the same
log-probabilities.

Usage: python checks/lm_transformers.py PROXMO MODEL [ADAPTER]
  PROXMO  the program, MODEL  a folder in the layout of Hugging Face, ADAPTER  one of PEFT for it
Needs torch and transformers. Exports the model in every type, whole and in shards.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def lm(program, command, *arguments, text=None):
    words = [program, "lm", command, "--backend", "flex", *map(str, arguments)]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout


def main(program, folder, adapter=None):
    vocabulary = json.loads((Path(folder) / "config.json").read_text())["vocab_size"]
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (24,), generator=draw).tolist()
    merge = ["--adapter", adapter, "--merge"] if adapter else []
    size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    with tempfile.TemporaryDirectory() as root:
        for dtype in ["f32", "bf16", "f16"]:
            for shard in [5, size / 4e9]:
                output = Path(root) / f"{dtype}-{shard}"
                flags = [*merge, "--dtype", dtype, "--shard-size", f"{shard:.9f}", "--output", output]
                lm(program, "export", "--model", folder, *flags)
                files = len(list(output.glob("*.safetensors")))
                line = json.dumps({"ids": ids})
                ours = json.loads(lm(program, "score", "--model", output, "--input", "-", text=line))
                model = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
                with torch.no_grad():
                    logits = model(torch.tensor([ids])).logits[0, :-1]
                theirs = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
                largest = (torch.tensor(ours["log_probs"]) - theirs).abs().max().item()
                stored = json.loads((output / "config.json").read_text())["dtype"]
                print(f"{dtype} in {files} files, config.json says {stored}: difference {largest:.1e}")
                assert largest < 1e-4


if __name__ == "__main__":
    main(*sys.argv[1:])
