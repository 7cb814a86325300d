"""Checks by hand that OpenAI's own client works with `proxmo serve`.

Usage: python checks/serve_openai.py PROXMO MODEL
  PROXMO  the program, MODEL  a folder in the layout of Hugging Face, with a chat template
Needs openai. Prints the throughput with 1, 4 and 16 clients too.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import openai


def serve(program, model):
    words = [program, "serve", "--model", model, "--port", "0", "--name", "served", "--batch", "16", "--quiet"]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    line = server.stderr.readline()
    assert "http://" in line, line
    return server, line.split(" at ")[1].split(",")[0]


def check(client):
    assert [model.id for model in client.models.list()] == ["served"]
    assert client.models.retrieve("served").owned_by == "proxmo"
    chat = dict(model="served", messages=[{"role": "user", "content": "Name three fruits."}], max_tokens=24)

    whole = client.chat.completions.create(**chat, seed=1, temperature=0.8)
    text = whole.choices[0].message.content
    assert text and whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    pieces = list(
        client.chat.completions.create(
            **chat, seed=1, temperature=0.8, stream=True, stream_options={"include_usage": True}
        )
    )
    contents = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert "".join(contents) == text
    assert pieces[-1].usage == whole.usage

    choices = ["apples", "bread", "water"]
    chosen = client.chat.completions.create(**chat, extra_body={"guided_choice": choices})
    assert chosen.choices[0].message.content in choices

    tokens = client.chat.completions.create(**chat, temperature=0, logprobs=True).choices[0].logprobs.content
    assert all(token.logprob <= 0 for token in tokens)

    two = client.completions.create(model="served", prompt=["One, two,", "Red, green,"], n=2, max_tokens=4)
    assert [choice.index for choice in two.choices] == [0, 1, 2, 3]

    for error, members in [
        (openai.NotFoundError, {"model": "other"}),
        (openai.BadRequestError, {"max_tokens": 10**6}),
        (openai.BadRequestError, {"temperature": -1}),
        (openai.BadRequestError, {"top_logprobs": 3}),
        (openai.BadRequestError, {"presence_penalty": 1}),
    ]:
        try:
            client.chat.completions.create(**{**chat, **members})
        except error as raised:
            print(f"{members} refused: {raised.body['message']}")
        else:
            raise AssertionError(f"{members} was taken")

    with client.chat.completions.create(**{**chat, "max_tokens": 400}, stream=True) as stream:
        next(iter(stream))


def measure(client, clients):
    ask = dict(model="served", messages=[{"role": "user", "content": "Tell me a story."}], max_tokens=64)

    def one(seed):
        return client.chat.completions.create(**ask, seed=seed).usage.completion_tokens

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        tokens = sum(pool.map(one, range(clients)))
    seconds = time.perf_counter() - begun
    print(f"{clients} clients: {tokens} tokens in {seconds:.1f} s, {tokens / seconds:.0f} a second")


def main(program, model):
    server, url = serve(program, model)
    try:
        client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
        check(client)
        for clients in [1, 4, 16]:
            measure(client, clients)
    finally:
        server.send_signal(2)
        print(server.stderr.read().strip())
    assert server.wait() == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
