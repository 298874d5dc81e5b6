#!/usr/bin/env python3
"""Shows that the checks of the schema registry can fail: breaks one behaviour after the other, and sees them notice.

    prove_registry.py [--registry URL] [--only WORD]

Between the checks and the registry stands a proxy that makes one mutation of registry_mutations.py. Every check that
the mutation names must fail through it; all must pass without one. Prints one line per mutation, exits with 1 if one
went unnoticed or a check is named by none. Without --registry it starts the release build's.
"""

import argparse
import contextlib
import http.client
import http.server
import json
import re
import sys
import threading
import traceback
import urllib.parse

import registry_conformance
from broker_process import ROOT, BrokerProcess, wait_until
from registry_mutations import MUTATIONS, Answer, Call

COMMAND = (
    f"{ROOT}/.build/release/orchestra broker --data-dir {{data}} --listen 127.0.0.1:{{port}} "
    "--registry-listen 127.0.0.1:0"
)


def ask(address, call):
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        target = call.path + ("?" + urllib.parse.urlencode(call.query) if call.query else "")
        with contextlib.suppress(BrokenPipeError):  # There may be an answer to a body that was not read to its end.
            connection.request(call.method, target, call.content, call.headers)
        response = connection.getresponse()
        text = response.read()
        answer = Answer(response.status, json.loads(text) if text else None)
        answer.media_type = response.headers.get("Content-Type")
        return answer
    finally:
        connection.close()


class ProxyServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # A check opens sixteen connections at once. Of Python's five, the kernel would drop some, to be tried again.
    request_queue_size = 128


class Proxy:
    """Passes calls on, through a mutation."""

    def __init__(self, address, change):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = self.headers.get("Content-Length")
                content = self.rfile.read(int(length)) if length is not None else None
                path, _, query = self.path.partition("?")
                kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
                call = Call(self.command, path, dict(urllib.parse.parse_qsl(query)), kept, content)
                try:
                    answer = change(call, lambda call: ask(address, call))
                except OSError:
                    # The registry has closed the connection, and so does the proxy.
                    self.close_connection = True
                    return
                text = b"" if answer.body is None else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", getattr(answer, "media_type", None) or "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = ProxyServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def failures(address, change, checks):
    """The checks that fail through a mutation: their names, and what was raised."""
    proxy = Proxy(address, change)
    raised = {}
    try:
        registry = registry_conformance.Registry(proxy.url)
        for check in checks:
            try:
                check(registry)
            except Exception:
                raised[check.__name__] = traceback.format_exc()
    finally:
        proxy.close()
        # What a check did not put back because it failed.
        for path in ("/config", "/mode"):
            ask(address, Call("DELETE", path))
    return raised


@contextlib.contextmanager
def own_registry():
    with BrokerProcess(COMMAND) as broker:
        # It says which port it has taken.
        said = wait_until(
            lambda: re.search(r" ready .*registry=http://(\S+)", broker.log_tail()), "the registry is ready"
        )
        yield said[1]


def prove(address, only):
    checks = {check.__name__: check for check in registry_conformance.CHECKS}
    unnamed = set(checks) - {name for mutation in MUTATIONS for name in mutation.checks}
    failed, tried = len(unnamed), 0
    for name in sorted(unnamed):
        print(f"FAIL  no mutation is for {name}")
    for name, reason in failures(address, lambda call, send: send(call), checks.values()).items():
        failed += 1
        print(f"FAIL  {name} fails through a proxy that changes nothing\n{reason}")
    for mutation in MUTATIONS:
        if only in mutation.title:
            tried += 1
            noticed = failures(address, mutation.change, [checks[name] for name in mutation.checks])
            missed = [name for name in mutation.checks if name not in noticed]
            failed += bool(missed)
            said = f"UNNOTICED by {', '.join(missed)}" if missed else f"noticed by {len(mutation.checks)}"
            print(f"{'FAIL' if missed else 'ok  '}  {mutation.title}: {said}", flush=True)
    print(f"{len(checks) - len(unnamed)} of {len(checks)} checks are for one of {len(MUTATIONS)} mutations")
    return 1 if failed or not tried else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", help="URL of a running registry")
    parser.add_argument("--only", default="", help="only mutations whose name contains this")
    options = parser.parse_args()
    if options.registry:
        return prove(urllib.parse.urlsplit(options.registry).netloc, options.only)
    with own_registry() as address:
        return prove(address, options.only)


if __name__ == "__main__":
    sys.exit(main())
