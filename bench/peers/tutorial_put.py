#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server for uploads as tutorials on sockets write it: a length, a header in JSON, and then recv
and write until the size is reached. It answers nothing.

    tutorial_put.py DIR     prints its port on 127.0.0.1 and serves until it is killed"""

import json
import os
import socket
import struct
import sys

PACKET_BYTES = 8192


def put(connection, header, folder):
    path = os.path.join(folder, os.path.basename(header["filename"]))
    size = 0
    with open(path, "wb") as file:
        while size < header["filesize"]:
            data = connection.recv(min(PACKET_BYTES, header["filesize"] - size))
            if not data:
                break
            file.write(data)
            size += len(data)


def serve(connection, folder):
    while True:
        length = connection.recv(4)
        if not length:
            break
        header = json.loads(connection.recv(struct.unpack("i", length)[0]))
        if header["cmd"] == "put":
            put(connection, header, folder)


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(5)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            serve(connection, sys.argv[1])


main()
