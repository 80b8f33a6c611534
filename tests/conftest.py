"""For every test: what a shell may have taken from us."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job inherits that, and so would what the tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
