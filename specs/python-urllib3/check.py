"""urllib3 against a server of its own on the loopback interface."""

import gzip
import http.server
import threading

import urllib3
import urllib3.exceptions


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, headers, body = {
            "/zip": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"data")),
            "/bomb": (200, {"Content-Encoding": ",".join(["gzip"] * 6)}, b""),
            "/loop": (302, {"Location": "/loop"}, b""),
            "/once": (302, {"Location": "/zip"}, b""),
        }[self.path]
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def fails(error, url, **options):
    try:
        urllib3.PoolManager(**options).request("GET", url)
    except error:
        return
    raise SystemExit(f"{url}: no {error.__name__}")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"

manager = urllib3.PoolManager()
assert manager.request("GET", f"{base}/zip").data == b"data"
assert manager.request("GET", f"{base}/once").data == b"data"
assert urllib3.PoolManager(retries=False).request("GET", f"{base}/once").status == 302
fails(urllib3.exceptions.MaxRetryError, f"{base}/loop")
fails(urllib3.exceptions.MaxRetryError, f"{base}/once", retries=0)
fails(urllib3.exceptions.DecodeError, f"{base}/bomb")
server.shutdown()
