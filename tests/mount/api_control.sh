#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The control protocol as docs/control-socket.md has it, spoken by a program that knows nothing but that page: operations,
# members of requests by what they do, and members of replies by the record tests/mount/api/control.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/api/shape.bash"
page=$(realpath "$(dirname "$0")/../../docs/control-socket.md")
mount_it -o no_passthrough # a buffer that is open several times can be handed out
cd "$T" || exit
mkdir said
random 300000 >"$outside/source"
cp "$outside/source" "$heap/buffer"
head -c 24 /dev/zero >"$heap/named_4x4_nv12.yuv"
cat >client.py <<'END'
import fcntl, json, os, socket, stat, sys

mount, heap, outside = sys.argv[1:]
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(json.load(open(mount + "/status"))["socket"])
replies = {}  # by the name of the record


def receive():
    text, fds, _, _ = socket.recv_fds(s, 65536, 16)
    return json.loads(text), fds


def ask(record, request, *fds):
    socket.send_fds(s, [json.dumps(request).encode()], fds)
    reply, got = receive()
    known = reply
    if record == "info":
        replies.setdefault("buffer", []).append(reply["info"])
        known = {**reply, "info": {}}
    if record in ("descriptor", "create", "format", "import") and reply["ok"]:  # whose reply has the members of info
        known = {name: value for name, value in reply.items() if name in ("ok", "moved")}
        replies.setdefault("buffer", []).append({name: value for name, value in reply.items() if name not in known})
    replies.setdefault(record, []).append(known)
    return reply, got


def ticket(path, flags=os.O_RDWR):
    file = os.open(path, flags, 0o600)
    files.append(file)  # a ticket is good while it is open
    return {"ticket": fcntl.ioctl(file, 0x8010DB01, bytes(16)).hex()}


def told(name, seen, wanted):
    print(f"ok - {name}" if seen == wanted else f"not ok - {name}\n# {seen!r}, not {wanted!r}")


files = []
source = os.open(outside + "/source", os.O_RDONLY)
text = open(outside + "/source", "rb").read()
new = os.O_RDWR | os.O_CREAT | os.O_TRUNC

hello, _ = ask("hello", {"op": "hello"})
told("protocol 2", hello["protocol"], 2)
told("its operations (beside cancel)", sorted(hello["operations"]),
     ["copy", "create", "descriptor", "format", "hello", "import", "info", "status"])
told("device is st_dev of its files", hello["device"], os.stat(heap).st_dev)
unknown, _ = ask("unknown", {"op": "none"})
told("an operation there is not", unknown["code"], "EOPNOTSUPP")

part = {"op": "copy", "from": {"fd": 0, "offset": 1000, "name": "x"}, "to": {**ticket(heap + "/part", new), "offset": 10},
        "length": 500, "a member of a later version": 1}
reply, _ = ask("copy", part, source)
told("copy: length and offset", (reply["bytes"], open(heap + "/part", "rb").read()), (500, bytes(10) + text[1000:1500]))
reply, _ = ask("copy", {"op": "copy", "from": ticket(heap + "/buffer"), "to": ticket(heap + "/whole", new)})
told("copy: stat(2) of a new file knows of it at once", os.stat(heap + "/whole").st_size, len(text))
told("copy: all there is, from ticket to ticket", open(heap + "/whole", "rb").read() == text, True)
wrong = os.memfd_create("wrong")
os.truncate(wrong, 4096)
failed, _ = ask("refused", {"op": "copy", "from": {"fd": 0, "name": "my name"}, "to": ticket(heap + "/direct", new),
                                 "require_direct": True}, wrong)
told("copy: require_direct of a file in memory", (failed["ok"], "my name" in failed["message"]), (False, True))

info, _ = ask("info", {"op": "info", "file": ticket(heap + "/buffer")})
told("info: of that file", info["info"]["size"], 300000)
ask("info", {"op": "info", "file": ticket(heap + "/named_4x4_nv12.yuv")})
for huge in (False, True):
    reply, got = ask("descriptor", {"op": "descriptor", "file": ticket(heap + "/buffer"), "huge": huge})
    told(f"descriptor: one, huge {huge}", (len(got), reply["moved"], os.fstat(got[0]).st_size >= 300000), (1, False, True))
    memory = got[0]
reply, got = ask("status", {"op": "status"})
told("status: a file with the text", (len(got), json.loads(os.pread(got[0], reply["bytes"], 0))["mountpoint"]), (1, hello["mountpoint"]))
ask("create", {"op": "create", "file": ticket(heap + "/made", new), "format": "NV12:4x4"})
told("create: as large as the picture", os.stat(heap + "/made").st_size >= 24, True)
reply, _ = ask("format", {"op": "format", "file": ticket(heap + "/buffer"), "format": "R8:100x100"})
told("format", reply["format"]["fourcc"], "R8")
reply, _ = ask("format", {"op": "format", "file": ticket(heap + "/buffer"), "format": None})
told("format: null forgets it", reply["format"], None)


def imported(name, fd, **more):
    path = f"{mount}/heaps/import/{name}"
    os.mknod(path, 0o600 | stat.S_IFREG)
    reply, _ = ask("import", {"op": "import", "file": ticket(path, os.O_WRONLY), "fd": 0, **more}, fd)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    os.unlink(path)
    return reply, mode


if info["info"]["is_dmabuf"]:
    told("import", imported("one", memory)[1], 0o400)
    reply, mode = imported("other", memory, writable=True, format="R8:100x100")
    told("import: writable, format", (mode, reply["format"]["fourcc"]), (0o600, "R8"))
else:
    told("import of what is no dma-buf", imported("none", memory)[0]["code"], "EINVAL")
    replies["refused"] += replies.pop("import")

# A copy that is cancelled answers for itself, and cancel is not answered.
hole = os.open(outside + "/hole", new)
os.truncate(hole, 1 << 40)
socket.send_fds(s, [json.dumps({"op": "copy", "from": {"fd": 0}, "to": {"fd": 1}, "progress": True}).encode()],
                [hole, os.open(outside + "/copy", new)])
first, _ = receive()
replies["progress"] = [first]
told("copy: progress", first["progress"]["total"], 1 << 40)
s.send(json.dumps({"op": "cancel"}).encode())
while "progress" in (reply := receive()[0]):
    pass
replies["cancelled"] = [reply]
told("cancel", (reply["ok"], reply["code"], "bytes" in reply), (False, "EINTR", True))
told("cancel has no reply of its own", ask("hello", {"op": "hello"})[0]["protocol"], 2)

for record, several in replies.items():
    with open(f"said/{record}", "w", encoding="utf-8") as out:
        out.writelines(json.dumps(reply) + "\n" for reply in several)
END
run python3 client.py "$mnt" "$heap" "$outside"
printf '%s\n' "$out"
grep -q '^not ok' <<<"$out" && failed=1
is 'the client came to its end' "$status" 0
shape 'info[]' <said/buffer >buffer.shape
rm said/buffer
keeps json 'info[]' buffer.shape
for record in said/*; do
    shape "${record#said/}" "copy.paths|cancelled.paths" <"$record" >"$record.shape"
    keeps control "${record#said/}" "$record.shape"
    is "${record#said/}: and in the documents" "$(undocumented control "${record#said/}" "$(<"$page")$(<"${page%/*}/json.md")")" ''
done
# What a program puts its trust in besides: the numbers.
for number in 0x8010db01 '64 KiB' '`protocol` (2)'; do check "the page has $number" grep -qF -- "$number" "$page"; done
