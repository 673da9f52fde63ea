"""All tests: signals as a terminal sets them up."""

from __future__ import annotations

import signal

# A shell starts background jobs with SIGINT ignored, and programs hand that on to those they start: there, nothing
# would end on Ctrl-C, and the tests that it does would judge the shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
