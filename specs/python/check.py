"""The modules of the installed Python that stand on other libraries do their work."""

import bz2
import ctypes
import curses
import decimal
import hashlib
import importlib.util
import lzma
import readline
import sqlite3
import ssl
import subprocess
import sys
import time
import xml.etree.ElementTree
import zlib

assert ssl.HAS_TLSv1_3 and ssl.OPENSSL_VERSION.startswith("OpenSSL 3.5."), ssl.OPENSSL_VERSION
context = ssl.create_default_context()
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
try:
    context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
except ssl.SSLWantReadError:
    pass
assert outgoing.read(1) == b"\x16", "no client hello"
assert hashlib.new("sha3_256", b"abc").hexdigest().startswith("3a985da74fe225b2")

database = sqlite3.connect(":memory:")
database.execute("create table t (a integer, b text)")
database.executemany("insert into t values (?, ?)", enumerate("abc"))
assert database.execute("select sum(a), group_concat(b, '') from t").fetchone() == (3, "abc")

data = bytes(range(256)) * 100
for module in (bz2, lzma, zlib):
    assert module.decompress(module.compress(data)) == data, module

# A call out of Python, and calls back into it.
libc = ctypes.CDLL(None)
assert libc.strlen(b"abcd") == 4
order = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 4)(3, 1, 4, 2)
libc.qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), order(lambda a, b: a[0] - b[0]))
assert list(numbers) == [1, 2, 3, 4]

readline.add_history("line")
assert readline.get_history_item(1) == "line" and readline.backend == "readline"
assert curses.ncurses_version >= (6, 0)
assert decimal.Decimal(2).sqrt().as_tuple().digits[:4] == (1, 4, 1, 4) and decimal.HAVE_THREADS
assert xml.etree.ElementTree.fromstring("<a><b>c</b></a>").findtext("b") == "c"

for module in (importlib.util.find_spec("json"), importlib.util.find_spec("asyncio")):
    with open(module.cached, "rb") as handle:
        assert handle.read(8)[4:] == b"\x01\0\0\0", f"{module.cached} would be checked at each import"

start = time.monotonic()
subprocess.run([sys.executable, "-I", "-c", "import json, ssl, subprocess, urllib.request"], check=True)
took = time.monotonic() - start
assert took < 5, f"{took:.2f} s"
print(f"imports took {took:.2f} s")
