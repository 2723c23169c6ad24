# Talks to the server of the URI in many ways and prints what it sees; the output is compared between servers.
import random
import sys

import nbd

uri, holes = sys.argv[1], sys.argv[2] == "map"
CONTEXTS = ["base:allocation", "qemu:dirty-bitmap:b0", "qemu:dirty-bitmap:b1", "qemu:allocation-depth"]

h = nbd.NBD()
for c in CONTEXTS:
    h.add_meta_context(c)
h.connect_uri(uri)
size, ro = h.get_size(), h.is_read_only()
print(size, ro, h.get_structured_replies_negotiated(), [h.get_block_size(i) for i in range(3)])
for can in "flush fua trim zero fast_zero cache df multi_conn".split():
    print(can, getattr(h, "can_" + can)())
print([h.can_meta_context(c) for c in CONTEXTS])


def extents():
    if not holes:
        return
    seen, pos = {}, 0
    while pos < size:
        lengths = []

        def note(context, off, entries, _):
            seen.setdefault(context, []).append((off, list(entries)))
            lengths.append(sum(entries[::2]))

        h.block_status(size - pos, pos, note)
        pos += min(lengths)
    for context in sorted(seen):
        print(context, seen[context])


def attempt(name, f):
    try:
        f()
        print(name, "done")
    except nbd.Error as e:
        print(name, e.errno)


extents()
if not ro:
    h.pwrite(b"a" * 65536, 65536)
    h.pwrite(b"b" * 513, (1 << 20) + 7, nbd.CMD_FLAG_FUA)
    h.zero(4096, 65536, nbd.CMD_FLAG_NO_HOLE)
    h.zero(1 << 20, 2 << 20)
    attempt("fast zero", lambda: h.zero(65536, 65536, nbd.CMD_FLAG_FAST_ZERO))
    h.trim(65536, 131072)
    h.flush()
    extents()
    random.seed(1)
    want = {random.randrange(size // 4096) * 4096: bytes([i]) * 4096 for i in range(1, 200)}
    writes = [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b)), off) for off, b in want.items()]
    while h.aio_in_flight() > 0:
        h.poll(-1)
    reads = [(off, nbd.Buffer(4096)) for off in want]
    cookies = [h.aio_pread(b, off) for off, b in reads]
    while h.aio_in_flight() > 0:
        h.poll(-1)
    print(all(h.aio_command_completed(c) for c in writes + cookies), all(bytes(b.to_bytearray()) == want[off] for off, b in reads))
    second = nbd.NBD()
    second.connect_uri(uri)
    off = next(iter(want))
    print(bytes(second.pread(4096, off)) == want[off])
    second.shutdown()
h.cache(65536, 0)
for flags in 0, nbd.CMD_FLAG_DF:
    chunks = []
    h.pread_structured(1 << 20, 0, lambda b, off, status, _: chunks.append((len(b), off, status)), flags)
    print("chunks", chunks if holes else sum(c[0] for c in chunks))
h.set_strict_mode(0)
attempt("read past the end", lambda: h.pread(512, size))
attempt("write past the end", lambda: h.pwrite(b"x", size))
attempt("trim past the end", lambda: h.trim(512, size))
attempt("zero past the end", lambda: h.zero(512, size))
attempt("status past the end", lambda: h.block_status(512, size, lambda *_: 0))
attempt("status of nothing", lambda: h.block_status(0, 0, lambda *_: 0))
attempt("read nothing", lambda: h.pread(0, 0))
attempt("unknown flags", lambda: h.pwrite(b"x", 0, 0xFF00))
h.shutdown()

o = nbd.NBD()
o.set_opt_mode(True)
o.connect_uri(uri)
for query in None, "qemu:", "base:", "other:":
    names = []
    if query:
        o.add_meta_context(query)
    o.opt_list_meta_context(names.append)
    print(query, names)
exports = []
o.opt_list(lambda name, description: exports.append((name, description)))
print(exports)
o.opt_info()
print(o.get_size())
o.opt_abort()
