"""Asks a Tokenward server whose API token a request carries, and what it may do."""

from ._async import AsyncTokenward
from ._sync import Tokenward
from ._wire import ErrorKind, Holder, Question, Reason, Request, Resource, TokenwardError, Verdict
from .guard import Needs, Passed

__all__ = [
    "AsyncTokenward", "ErrorKind", "Holder", "Needs", "Passed", "Question", "Reason", "Request", "Resource", "Tokenward",
    "TokenwardError", "Verdict",
]
