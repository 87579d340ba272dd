"""An HTTP server on the loopback for the files of a directory, such as a base."""

import functools
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class _Answer(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.asked.append(self.path)


@contextmanager
def files_served(directory):
    """The server, with its ``server_port`` and the paths that were ``asked``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Answer, directory=directory)) as server:
        server.daemon_threads, server.asked = True, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
