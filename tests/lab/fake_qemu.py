"""A program that looks like QEMU; what its guest does is the last word before -- in -append."""

import json
import os
import re
import signal
import socket
import sys
import time


def main() -> None:
    words = " ".join(sys.argv)
    ends = {
        name: socket.socket(fileno=int(fd))
        for name, fd in re.findall(r"socket,id=(\w+),fd=(\d+)", words)
    }
    behaviour = words.partition("-append ")[2].partition(" -- ")[0].split()[-1]
    if behaviour == "refuses":
        sys.exit("qemu: no such machine")
    qmp = ends["qmp"].makefile("rwb")
    say(qmp, {"QMP": {}})
    obey(qmp)
    ends["console"].sendall(b"Linux version 6.12\r\n")
    channel = ends["channel"].makefile("rwb")
    if behaviour == "panics":
        ends["console"].sendall(b"Kernel panic - not syncing: no init\r\n")
        sys.exit()
    if behaviour == "hangs":
        time.sleep(60)
    say(channel, {"ready": "3.11"})
    request = json.loads(channel.readline())
    say(channel, {"output": '{"step": 1}\n{"step": 2}\n'})
    say(channel, {"message": f"module {request['module']}\n"})
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "stuck":
        time.sleep(60)
    if behaviour == "garbles":
        channel.write(b"\x00\xff\n")
        channel.flush()
    say(channel, {"exit": {"fails": 3, "crashes": -11}.get(behaviour, 0)})
    time.sleep(60)


def obey(qmp) -> None:
    """The command that begins a session."""
    json.loads(qmp.readline())
    say(qmp, {"return": {}})


def say(end, data) -> None:
    end.write(json.dumps(data).encode() + b"\n")
    end.flush()


main()
