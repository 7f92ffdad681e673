"""What a process does first that a test has started, by the path that conftest.py sets.

It lives for seconds and mostly imports: looking for garbage would be up to half of its time.
"""

import atexit
import gc

gc.set_threshold(100_000, 50, 100)
atexit.register(gc.freeze)
