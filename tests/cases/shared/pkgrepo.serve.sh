# The repository, at the address that the case's states name.
exec python3 -u -c '
import functools, http.server, sys

handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1] + "/served")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8765), handler)
print("ready", flush=True)
server.serve_forever()' "$1" 2> /dev/null
