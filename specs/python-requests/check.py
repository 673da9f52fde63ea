"""requests against a server of its own on the loopback interface."""

import http.server
import json
import os
import tempfile
import threading

import requests
import requests.packages
import requests.utils
import urllib3


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        size = int(self.headers["Content-Length"])
        body = json.dumps({"got": json.loads(self.rfile.read(size)), "cookie": self.headers["Cookie"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "a=b")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"

with requests.Session() as session:
    assert session.post(url, json=[1]).json() == {"got": [1], "cookie": None}
    assert session.post(url, json=[2], timeout=5).json() == {"got": [2], "cookie": "a=b"}
try:
    requests.get("http://127.0.0.1:1/", timeout=5)
    raise SystemExit("nobody listens there")
except requests.exceptions.ConnectionError:
    pass
assert requests.packages.urllib3 is urllib3 and os.path.exists(requests.certs.where())

with tempfile.NamedTemporaryFile("w") as netrc:
    netrc.write("machine good login me password secret\n")
    netrc.flush()
    os.environ["NETRC"] = netrc.name
    assert requests.utils.get_netrc_auth("http://good:80/") == ("me", "secret")
    assert requests.utils.get_netrc_auth("http://good:80@bad/") is None
server.shutdown()
