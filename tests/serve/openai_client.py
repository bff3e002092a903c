#!/usr/bin/env python3
"""What programs do with the official OpenAI client, done over a Unix socket: run by test_http_clients.py.

    openai_client.py SOCKET TOKEN
"""
import asyncio
import importlib
import sys

import openai

SOCKET, TOKEN = sys.argv[1:]
HELLO = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
# the HTTP library that this version of the client is made of
httpx = importlib.import_module(openai.DefaultHttpxClient.__mro__[1].__module__.split(".")[0])


def client(token=TOKEN, **more):
    return openai.OpenAI(base_url="http://hearth/v1", api_key=token, max_retries=0, **more,
                         http_client=openai.DefaultHttpxClient(transport=httpx.HTTPTransport(uds=SOCKET)))


def fails(kind, call, text=""):
    try:
        call()
    except kind as e:
        assert text in str(e), e
        return e
    raise AssertionError(f"{kind} expected")


def chats(c):
    a = c.chat.completions.create(model="books", messages=HELLO, max_completion_tokens=8, seed=3, user="somebody", store=False)
    assert a.object == "chat.completion" and a.choices[0].message.role == "assistant"
    assert a.usage.completion_tokens == 8 and a.usage.total_tokens == a.usage.prompt_tokens + 8
    assert a.choices[0].finish_reason == "length"
    stream = list(c.chat.completions.create(model="books", messages=HELLO, max_completion_tokens=8, seed=3, stream=True,
                                            stream_options={"include_usage": True}))
    assert stream[-1].usage.completion_tokens == 8 and stream[-1].choices == []
    text = "".join(e.choices[0].delta.content or "" for e in stream[:-1])
    assert text == a.choices[0].message.content, (text, a)
    assert len(c.chat.completions.create(model="books", messages=HELLO, max_tokens=2, n=3).choices) == 3


def schemas(c):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    a = c.chat.completions.create(model="books", messages=HELLO, max_tokens=64, temperature=0, response_format={
        "type": "json_schema", "json_schema": {"name": "number", "strict": True, "schema": schema}})
    assert a.choices[0].message.content.startswith("{"), a


def texts(c):
    a = c.completions.create(model="books", prompt=["It was", "He said"], max_tokens=6, temperature=0)
    b = c.completions.create(model="books", prompt="He said", max_tokens=6, temperature=0, stream=True)
    assert "".join(e.choices[0].text for e in b) == a.choices[1].text
    assert c.completions.create(model="books", prompt="a", max_tokens=1, extra_body={"top_k": 1, "priority": 2}).choices


def vectors(c):
    a = c.embeddings.create(model="sentences", input=["The ship sailed.", "He ate bread."])  # base64 by default
    b = c.embeddings.create(model="sentences", input="The ship sailed.", encoding_format="float")
    assert len(a.data) == 2 and len(a.data[0].embedding) == len(b.data[0].embedding)
    assert max(abs(x - y) for x, y in zip(a.data[0].embedding, b.data[0].embedding)) < 1e-6
    assert a.usage.prompt_tokens > b.usage.prompt_tokens > 2


def models(c):
    assert [m.id for m in c.models.list()] == ["books", "mood", "sentences"]
    assert c.models.retrieve("mood").id == "mood"


def errors(c):
    fails(openai.NotFoundError, lambda: c.models.retrieve("nobody"))
    fails(openai.NotFoundError, lambda: c.completions.create(model="nobody", prompt="a"))
    e = fails(openai.BadRequestError, lambda: c.chat.completions.create(model="books", messages=HELLO, logprobs=True))
    assert e.param == "logprobs" and e.type == "invalid_request_error", e.body
    fails(openai.BadRequestError, lambda: c.chat.completions.create(model="books", messages=HELLO, tools=[
        {"type": "function", "function": {"name": "f", "parameters": {}}}]), "tools")
    fails(openai.AuthenticationError, lambda: client("not-the-right-token").models.list())


def leaving(c):
    stream = c.completions.create(model="books", prompt="It was", max_tokens=400, stream=True, extra_body={"ignore_end": True})
    next(iter(stream))
    stream.close()
    assert c.completions.create(model="books", prompt="a", max_tokens=1).usage.completion_tokens == 1


async def together():
    c = openai.AsyncOpenAI(base_url="http://hearth/v1", api_key=TOKEN, http_client=openai.DefaultAsyncHttpxClient(
        transport=httpx.AsyncHTTPTransport(uds=SOCKET)))

    async def one():
        stream = await c.completions.create(model="books", prompt="It was", max_tokens=20, temperature=0, stream=True)
        return "".join([e.choices[0].text async for e in stream])

    got = await asyncio.gather(*(one() for _ in range(8)))
    assert len(set(got)) == 1 and got[0], got


for part in (chats, schemas, texts, vectors, models, errors, leaving):
    part(client())
    print(part.__name__)
asyncio.run(together())
print("together\nall of openai", openai.__version__)
