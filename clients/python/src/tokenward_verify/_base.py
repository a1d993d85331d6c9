"""What both clients share: their settings, and the yeses that they may remember."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from ._wire import BATCH, MALFORMED, Question, Reply, TokenwardError, Verdict, presentable, read_base, read_batch, read_reply, read_verdict

#: Most bytes of an answer that are read: about three times what a server says of one token with the longest names.
ANSWER_BYTES = 16_384
#: Most yeses that are remembered.
REMEMBERED = 10_000


class Settings:
    """The settings of a client, read once."""

    def __init__(self, url: str, credential: str, timeout: float, revoked_tokens_live_for: float) -> None:
        self.base = read_base(url)
        if not presentable(credential):
            raise TokenwardError("question", "`credential`, this service's own token, is empty or holds what no token does.")
        if not 0.001 <= timeout <= 60:
            raise TokenwardError("question", "`timeout` must be 0.001 to 60 seconds.")
        if not 0 <= revoked_tokens_live_for <= 1:
            raise TokenwardError("question", "`revoked_tokens_live_for` must be at most 1 second.")
        self.timeout, self.credential = timeout, credential
        self.headers = {"Authorization": f"Token {credential}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
        self.yeses = Yeses(revoked_tokens_live_for)

    def unreachable(self, why: object) -> TokenwardError:
        return TokenwardError("unavailable", f"The Tokenward server at {self.base} cannot be reached: {why}")

    def too_slow(self) -> TokenwardError:
        return self.unreachable(f"it did not answer within {self.timeout} s")


class Yeses:
    """Verdicts that are remembered for a moment. Their keys are digests: no text of a token stays in memory for it."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._lock = seconds, Lock()
        self._kept: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()

    def get(self, content: bytes) -> Verdict | None:
        if self._seconds == 0:
            return None
        with self._lock:
            until, verdict = self._kept.get(hashlib.sha256(content).digest(), (0.0, None))
        return verdict if time.monotonic() < until else None

    def note(self, content: bytes, verdict: Verdict) -> None:
        if self._seconds == 0:
            return
        key = hashlib.sha256(content).digest()
        with self._lock:
            self._kept.pop(key, None)
            if verdict.valid:
                self._kept[key] = (time.monotonic() + self._seconds, verdict)
                if len(self._kept) > REMEMBERED:
                    self._kept.popitem(last=False)


Outcome = TypeVar("Outcome")


@dataclass(slots=True)
class Asking(Generic[Outcome]):
    """What is sent, however it is sent, and what the answer to it means."""

    path: str
    #: Not shown: the token stands in it.
    content: bytes = field(repr=False)
    #: Most bytes of the answer.
    most: int
    read: Callable[[Reply], Outcome]


def one(settings: Settings, question: Question) -> Verdict | Asking[Verdict]:
    """A question about one token, or its verdict where nobody has to be asked."""
    content = question.written().encode()
    if not question.presentable:
        return MALFORMED
    known = settings.yeses.get(content)
    if known is not None:
        return known

    def read(reply: Reply) -> Verdict:
        value, throttled = read_reply(reply)
        verdict = throttled or read_verdict(value, settings.base)
        settings.yeses.note(content, verdict)
        return verdict

    return Asking("/verify", content, ANSWER_BYTES, read)


def several(settings: Settings, questions: Iterable[Question], at_least: str | None) -> list[Verdict] | Asking[list[Verdict]]:
    """A question about up to 1,000 tokens, or their verdicts where nobody has to be asked."""
    every = list(questions)
    if len(every) > BATCH:
        raise TokenwardError("question", f"A batch holds at most {BATCH} questions; this one has {len(every)}.")
    asked = [it for it in every if it.presentable]
    body = f'{{"tokens":[{",".join(it.written() for it in asked)}]'
    if not asked:
        return merged(every, [])
    if at_least is not None:
        body += f',"at_least":{json.dumps(at_least)}'

    def read(reply: Reply) -> list[Verdict]:
        value, throttled = read_reply(reply)
        return merged(every, [throttled] * len(asked) if throttled else read_batch(value, settings.base, len(asked)))

    return Asking("/verify/batch", f"{body}}}".encode(), ANSWER_BYTES * len(asked), read)


def merged(every: Sequence[Question], verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts of those that were asked, and the others among them."""
    answered = iter(verdicts)
    return [next(answered) if it.presentable else MALFORMED for it in every]
