"""llama-server for the other scripts of this folder: started, asked in parallel, ended."""
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A running llama-server; `options` are the words it was started with."""

    def __init__(self, port, options):
        self.port, self.options = port, options

    def ask(self, path, body):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=24 * 3600)
        link.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = link.getresponse()
        text = answer.read()
        link.close()
        if answer.status != 200:
            raise RuntimeError(f"llama-server answered {answer.status}: {text[:500]!r}")
        return json.loads(text)

    def ask_all(self, path, bodies, at_once):
        """The answers in the order of `bodies`, which are sent in that order, so many at a time."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda body: self.ask(path, body), bodies))

    def ready(self):
        try:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            link.request("GET", "/health")
            return link.getresponse().status == 200
        except OSError:
            return False


@contextlib.contextmanager
def llama_server(folder, model, options):
    """Starts the server and waits until it has loaded the model."""
    port = free_port()
    words = ["-m", str(model), *map(str, options), "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen([Path(folder) / "llama-server", *words], stdout=log, stderr=log)
        server = Server(port, " ".join(map(str, options)))

        def ended(*_):
            # The server first: what waits for its answers ends with it.
            child.kill()
            sys.exit(143)

        signal.signal(signal.SIGTERM, ended)
        try:
            while not server.ready():
                if child.poll() is not None:
                    log.seek(0)
                    sys.exit("error: llama-server ended:\n" + log.read().decode(errors="replace")[-2000:])
                time.sleep(0.05)
            yield server
        finally:
            child.terminate()
            child.wait()
