"""The metadata server of a cloud for one instance, one request at a time: QEMU starts it for each connection of the guest.

python metadata_program.py DIRECTORY     its files are the paths that there are; each request is a line of DIRECTORY.log
"""

import sys
from pathlib import Path

TOKEN = "the-token-of-this-session"
STATUS = {200: "OK", 401: "Unauthorized", 404: "Not Found"}


def answer(top, method, path, headers):
    """``(status, content)``.  What is below /latest wants a session token, as EC2 does it today."""
    if (method, path) == ("PUT", "/latest/api/token"):
        return 200, TOKEN.encode()
    if path.startswith("/latest/") and headers.get("x-aws-ec2-metadata-token") != TOKEN:
        return 401, b""
    file = top / path.lstrip("/")
    if ".." in path or method != "GET" or not file.is_file():
        return 404, b""
    return 200, file.read_bytes()


def main(top):
    method, path, _ = sys.stdin.buffer.readline().decode().split()
    lines = iter(sys.stdin.buffer.readline, b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)}
    status, content = answer(top, method, path, headers)
    with open(f"{top}.log", "a", encoding="utf-8") as log:
        log.write(f"{method} {path} {status}\n")
    head = f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    sys.stdout.buffer.write(head.encode() + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
