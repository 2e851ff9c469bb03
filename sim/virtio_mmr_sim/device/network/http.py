"""An HTTP server (RFC 9112) that serves files: GET and HEAD, one request for each connection."""

from collections.abc import Mapping
from urllib.parse import unquote

from .tcp import Connection

PORT = 80

#: Bytes of the longest head of a request.
LONGEST = 8192


class HttpRequest:
    """A connection to the server: serves *files*, by name without a leading slash, and notes what it served."""

    def __init__(self, files: Mapping[str, bytes], served: list[str]):
        self._files, self._served = files, served
        self._head = bytearray()
        self._answered = False

    def received(self, connection: Connection, data: bytes) -> None:
        """Bytes of the request."""
        if self._answered:
            return
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > LONGEST:
            self._answered = True
            connection.send(self._answer(bytes(self._head).split(b"\r\n", 1)[0]))
            connection.close()

    def ended(self, connection: Connection) -> None:
        """The client has nothing more to say."""
        connection.close()

    def _answer(self, line: bytes) -> bytes:
        words = line.decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _response("400 Bad Request", b"")
        method, target, _ = words
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", b"", "Allow: GET, HEAD\r\n")
        name = unquote(target.split("?", 1)[0])
        if name.startswith("http://"):
            name = name.removeprefix("http://").partition("/")[2]
        content = self._files.get(name.lstrip("/"))
        if content is None:
            return _response("404 Not Found", b"there is no such file\n", head=method == "HEAD")
        self._served.append(name.lstrip("/"))
        return _response("200 OK", content, head=method == "HEAD")


def _response(status: str, content: bytes, more: str = "", *, head: bool = False) -> bytes:
    text = (f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nContent-Type: application/octet-stream\r\n"
            f"{more}Connection: close\r\n\r\n")
    return text.encode("latin-1") + (b"" if head else content)
