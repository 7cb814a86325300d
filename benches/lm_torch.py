"""PyTorch's side of benches/lm_compare.py: one case of benches/lm.rs, with transformers and peft.

Usage: lm_torch.py "CASE". Prints one line of JSON: tokens a second by the clock and by the CPU's time.
"""

import json
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "smollm2": dict(vocab_size=49152, hidden_size=576, intermediate_size=1536,
                    num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3),
    "small": dict(vocab_size=1024, hidden_size=256, intermediate_size=768,
                  num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2),
}


def tokens(rows, length, vocabulary):
    return torch.tensor([[(at * 7919 + row * 104729 + 13) % vocabulary for at in range(length)]
                         for row in range(rows)])


def prefill(model, ids):
    @torch.no_grad()
    def call():
        return model(ids, logits_to_keep=1, use_cache=False).logits
    return call


def train(model, ids, rank):
    if rank:
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0)

    def call():
        optimizer.zero_grad()
        logits = model(ids[:, :-1], use_cache=False).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    return call


def decode(model, ids):
    with torch.no_grad():
        cache = model(ids, logits_to_keep=1, use_cache=True).past_key_values
    following = ids[:, -1:]

    @torch.no_grad()
    def call():
        return model(following, past_key_values=cache, use_cache=True).logits
    return call


def main():
    name = sys.argv[1]
    shape, work, sizes = name.split()
    rows, length = map(int, sizes.split("x"))
    torch.set_num_threads(2)
    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=4096, tie_word_embeddings=True)
    model = LlamaForCausalLM(config).eval()
    vocabulary = config.vocab_size
    if work == "prefill":
        call, done = prefill(model, tokens(rows, length, vocabulary)), rows * length
    elif work == "decode":
        call, done = decode(model, tokens(rows, length, vocabulary)), rows
    else:
        call = train(model, tokens(rows, length + 1, vocabulary), 16 if work == "lora" else 0)
        done = rows * length
    call()
    start, spent, calls = time.perf_counter(), time.process_time(), 0
    while calls < 3 or (time.perf_counter() - start < 5 and calls < 64):
        call()
        calls += 1
    wall, cpu = time.perf_counter() - start, time.process_time() - spent
    print(json.dumps({"case": name, "wall": calls * done / wall, "cpu": calls * done / cpu}))


main()
