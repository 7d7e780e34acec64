"""Back ends for the proxy: threads of the test, in its network namespace."""
import socket
import threading

from .waiting import PATIENCE, seconds

BACK = ("127.0.0.1", 7100)


class Backend:
    """with Backend(serve): every client is given to serve(sock) in a thread of its own, which may
    raise OSError. `accepted` holds their sockets."""

    def __init__(self, serve=None, address=BACK, backlog=128):
        self.serve, self.accepted = serve, []
        self.listener = socket.create_server(address, backlog=backlog)
        self.address = address

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop_listening()
        for sock in self.accepted:
            try:  # a thread that waits on it keeps the kernel's socket open after close(2)
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def stop_listening(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(seconds(PATIENCE))
            self.accepted.append(sock)
            if self.serve is not None:
                threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        try:
            self.serve(sock)
        except OSError:
            pass


def echo(sock):
    """Until the client's end, then our own."""
    with sock:
        while data := sock.recv(1 << 16):
            sock.sendall(data)
