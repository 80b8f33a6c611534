"""A process that owns a stack and does nothing else: `python parent.py DIR [KAFKA]`. It prints the pids when all is up."""

import json
import sys
import time
from pathlib import Path

from ledger.stack import Stack

if __name__ == "__main__":
    kafka = sys.argv[2] if len(sys.argv) > 2 else None
    with Stack.start(Path(sys.argv[1]), fast=True, kafka=kafka, on_progress=lambda text: print(text, file=sys.stderr, flush=True)) as stack:
        print(json.dumps(stack.pids), flush=True)
        while True:
            time.sleep(60)
