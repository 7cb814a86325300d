"""PyTorch on the shapes of `cargo bench --bench lm`: prefill, training and decoding in 32-bit floats.

`python benches/lm_torch.py CASE` prints the seconds of one iteration; without CASE it lists the cases.
Needs torch, transformers, and peft for LoRA. Weights are random.
"""

import json
import statistics
import sys
import time

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

SHAPES = {
    "smollm2": dict(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3,
    ),
    "small": dict(
        vocab_size=1024, hidden_size=256, intermediate_size=768, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2,
    ),
}

# Group, model and shape as criterion names them; training says which weights, and whether layers are
# computed again in the backward pass.
CASES = [
    "prefill/small 32x128",
    "prefill/smollm2 1x512",
    "train/small full 32x128",
    "train/smollm2 LoRA 4x256",
    "train/smollm2 LoRA recompute 4x256",
    "train/smollm2 full 8x256",
    "decode/small 128x128",
    "decode/small 128x512",
    "decode/smollm2 1x128",
    "decode/smollm2 8x128",
    "decode/smollm2 32x128",
]


def model_of(name):
    torch.manual_seed(0)
    config = LlamaConfig(max_position_embeddings=4096, tie_word_embeddings=True, **SHAPES[name])
    return LlamaForCausalLM(config).to(torch.float32)


def prefill(name, batch, length):
    """Log-probabilities of all tokens of a batch, and the entropies after them."""
    model = model_of(name).eval()
    ids = torch.randint(SHAPES[name]["vocab_size"], (batch, length))

    def step():
        with torch.inference_mode():
            log_p = torch.log_softmax(model(ids).logits, dim=-1)
            log_p[:, :-1].gather(-1, ids[:, 1:, None]).sum()
            (log_p.exp() * log_p).sum(-1)

    return step


def train(name, options, batch, length):
    """A step of AdamW on the mean log-probability of the next tokens."""
    model = model_of(name)
    if "recompute" in options:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    if "LoRA" in options:
        import peft

        lora = peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
        model = peft.get_peft_model(model, lora)
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad])
    ids = torch.randint(SHAPES[name]["vocab_size"], (batch, length + 1))

    def step():
        logits = model(ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def decode(name, batch, context):
    """One token a sequence after a cache of `context` tokens; the cache grows."""
    model = model_of(name).eval()
    vocabulary = SHAPES[name]["vocab_size"]
    cache = DynamicCache()
    with torch.inference_mode():
        model(torch.randint(vocabulary, (batch, context)), past_key_values=cache)
    ids = torch.randint(vocabulary, (batch, 1))

    def step():
        with torch.inference_mode():
            model(ids, past_key_values=cache).logits[:, -1].numpy()

    return step


def step_of(case):
    group, rest = case.split("/")
    name, *options, shape = rest.split()
    batch, length = map(int, shape.split("x"))
    if group == "train":
        return train(name, options, batch, length)
    return {"prefill": prefill, "decode": decode}[group](name, batch, length)


def seconds(case, most=15.0):
    """The median of at most 10 iterations after a first one, and of as many as `most` seconds hold."""
    step = step_of(case)
    step()
    times = []
    begun = time.perf_counter()
    while len(times) < 10 and (not times or time.perf_counter() - begun < most):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    torch.set_num_threads(2)
    if len(sys.argv) == 1:
        print("\n".join(CASES))
    else:
        print(json.dumps({"case": sys.argv[1], "seconds": seconds(sys.argv[1])}))
