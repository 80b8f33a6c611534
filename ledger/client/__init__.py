"""The edge that programs use: submit, wait, read; one `Ledger` per process is enough."""
