# SPDX-License-Identifier: MIT
"""An HTTP/2 client that sends whatever headers it is given, also those that no client may send."""

import json
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions

CONFIG = h2.config.H2Configuration(
    validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False,
    header_encoding=None)


class Refused(Exception):
    """The server ended the stream or the connection instead of answering."""


class Http2:
    def __init__(self, gateway, user=None):
        context = ssl.create_default_context(cafile=gateway.dir / "virtgate/cert.pem")
        context.set_alpn_protocols(["h2"])
        self.sock = gateway.connect_tls(context)
        self.h2 = h2.connection.H2Connection(CONFIG)
        self.h2.initiate_connection()
        self.flush()
        value = gateway.client(user).credentials.partition(": ")[2].strip()
        self.credentials = [("authorization", value)] if value else []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def open(self, method="GET", path="/v1", more=(), end=True, authority="localhost", **pseudo):
        """Sends the headers of a request; returns its stream. more: (name, value) pairs."""
        head = {":method": method, ":scheme": "https", ":authority": authority, ":path": path, **pseudo}
        headers = [(name, value) for name, value in head.items() if value is not None]
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [*headers, *self.credentials, *more], end_stream=end)
        self.flush()
        return stream

    def read(self, stream):
        """(status, body) of the answer; Refused."""
        status, body = None, b""
        while True:
            data = self.sock.recv(65536)
            if not data:
                raise Refused("closed")
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    raise Refused(f"GOAWAY {event.error_code}")
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.StreamReset):
                    raise Refused(f"RST_STREAM {event.error_code}")
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                if isinstance(event, h2.events.StreamEnded):
                    self.flush()
                    return status, json.loads(body or b"null")
            self.flush()

    def request(self, *arguments, **options):
        try:
            return self.read(self.open(*arguments, **options))
        except (Refused, ConnectionError, h2.exceptions.ProtocolError) as error:
            return None, str(error)
