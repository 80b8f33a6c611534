"""The development stack: Kafka, Valkey and Postgres from packages, on one machine, without containers.

`Stack` is the parent's side; the servers belong to a keeper process of their own (`ledger.stack.keeper`).
"""

from ledger.stack.failure import FolderBusy, ServerSilent, StackFailed
from ledger.stack.launch import Stack
from ledger.stack.messages import ServerName, Up
from ledger.stack.running import Running, state, stop

__all__ = ["FolderBusy", "Running", "ServerName", "ServerSilent", "Stack", "StackFailed", "Up", "state", "stop"]
