"""Where the process starts."""

import gc
import sys


def begin() -> None:
    gc.disable()  # what is imported stays: the collector would go through it again and again, a sixth of the time until it runs
    from processors.control.entry import main

    main(sys.argv[1:])


begin()
