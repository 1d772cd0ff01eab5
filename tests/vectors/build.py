#!/usr/bin/env python3
"""Builds golden vectors from the text of the specification alone: Python's standard library, no code of the product.

Usage: python3 tests/vectors/build.py > tests/vectors/independent.json
The Rust test `vectors` decodes each one, compares ids and fields, and encodes it back to the same bytes.
Keys are made of seeds of one repeated byte; nothing here is secret.
"""
import hashlib
import json
import struct

# ---- ed25519 (RFC 8032, section 5.1), plain and slow -------------------------------------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    return P - x if x % 2 != sign else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x3 = (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P
    y3 = (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P
    return x3, y3


def multiply(scalar, point):
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def compress(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def expand(seed):
    h = hashlib.sha512(seed).digest()
    a = int.from_bytes(h[:32], "little") & ~7 & ~(1 << 255) | 1 << 254
    return a & (2**255 - 1), h[32:]


def public(seed):
    return compress(multiply(expand(seed)[0], BASE))


def ed25519_sign(seed, message, again=b""):
    """With `again` another nonce, hence another valid signature over the same message."""
    a, prefix = expand(seed)
    r = int.from_bytes(hashlib.sha512(prefix + again + message).digest(), "little") % L
    big_r = compress(multiply(r, BASE))
    k = int.from_bytes(hashlib.sha512(big_r + public(seed) + message).digest(), "little") % L
    return big_r + ((r + k * a) % L).to_bytes(32, "little")


# ---- spec 4.1 and 4.2 --------------------------------------------------------------------------------------------
def sign(kind, seed, data, again=b""):
    return ed25519_sign(seed, b"comity/1/sign/" + kind.encode() + b"\0" + data, again)


def record_id(kind, data):
    return hashlib.sha256(b"comity/1/id/" + kind.encode() + b"\0" + data).digest()


def tagged(tag, data):
    return hashlib.sha256(b"comity/1/" + tag.encode() + b"\0" + data).digest()


u8 = lambda v: struct.pack(">B", v)
u16 = lambda v: struct.pack(">H", v)
u32 = lambda v: struct.pack(">I", v)
u64 = lambda v: struct.pack(">Q", v)
text = lambda v: u16(len(v.encode())) + v.encode()
blob = lambda v: u32(len(v)) + v
items = lambda vs: u16(len(vs)) + b"".join(vs)
option = lambda v: b"\0" if v is None else b"\1" + v
ZERO = bytes(32)


# ---- Automerge change chunks (the columnar layout the guard reads, Appendix A) -----------------------------------
def uleb(n):
    out = bytearray()
    while True:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def sleb(n):
    out = bytearray()
    while True:
        byte, n = n & 0x7F, n >> 7
        done = n == 0 and not byte & 0x40 or n == -1 and byte & 0x40
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


def rle(values, encode):
    """Runs of equal values, literals between them, nulls counted; a column of nulls only is empty."""
    if all(v is None for v in values):
        return b""
    runs = []
    for v in values:
        if runs and runs[-1][0] == v:
            runs[-1][1] += 1
        else:
            runs.append([v, 1])
    out, literal = b"", []

    def flush():
        nonlocal out, literal
        if literal:
            out += sleb(-len(literal)) + b"".join(map(encode, literal))
            literal = []

    for value, count in runs:
        if value is None:
            flush()
            out += sleb(0) + uleb(count)
        elif count == 1:
            literal.append(value)
        else:
            flush()
            out += sleb(count) + encode(value)
    flush()
    return out


def delta(values):
    last, deltas = 0, []
    for v in values:
        deltas.append(None if v is None else v - last)
        last = last if v is None else v
    return rle(deltas, sleb)


def boolean(values):
    out, state, count = b"", False, 0
    for v in values:
        if v != state:
            out, state, count = out + uleb(count), v, 0
        count += 1
    return out + uleb(count)


utf8 = lambda s: uleb(len(s.encode())) + s.encode()


def scalar(value):
    """(type code, bytes) of a value: text 6, bytes 7, unsigned 3, true 2, false 1."""
    if isinstance(value, bool):
        return (2 if value else 1), b""
    if isinstance(value, str):
        return 6, value.encode()
    if isinstance(value, bytes):
        return 7, value
    return 3, uleb(value)


def change(actor, seq, start_op, deps, writes, others=()):
    """One change of record versions: each a make-map at a root key with its fields below (spec A.3).

    `writes`: (key, preds, fields); a pred is (counter, actor). Actors are listed author first, then ascending.
    """
    actors = [actor, *sorted(others)]
    ops = []  # (obj counter or None, key, action, value, preds)
    counter = start_op
    for key, preds, fields in writes:
        made = counter
        ops.append((None, key, 0, None, preds))
        counter += 1
        for name in sorted(fields):
            ops.append((made, name, 1, fields[name], []))
            counter += 1
    scalars = [scalar(op[3]) if op[3] is not None else (0, b"") for op in ops]
    columns = [
        (0x01, rle([None if op[0] is None else 0 for op in ops], uleb)),
        (0x02, rle([op[0] for op in ops], uleb)),
        (0x15, rle([op[1] for op in ops], utf8)),
        (0x34, boolean([False] * len(ops))),
        (0x42, rle([op[2] for op in ops], uleb)),
        (0x56, rle([code | len(data) << 4 for code, data in scalars], uleb)),
        (0x57, b"".join(data for _, data in scalars)),
        (0x70, rle([len(op[4]) for op in ops], uleb)),
        (0x71, rle([actors.index(who) for op in ops for _, who in op[4]], uleb)),
        (0x73, delta([count for op in ops for count, _ in op[4]])),
    ]
    columns = [(spec, data) for spec, data in columns if data]
    body = uleb(len(deps)) + b"".join(sorted(deps))
    body += uleb(len(actor)) + actor + uleb(seq) + uleb(start_op) + sleb(0) + uleb(0)
    body += uleb(len(others)) + b"".join(uleb(len(a)) + a for a in sorted(others))
    body += uleb(len(columns)) + b"".join(uleb(spec) + uleb(len(data)) for spec, data in columns)
    body += b"".join(data for _, data in columns)
    typed = b"\1" + uleb(len(body)) + body
    digest = hashlib.sha256(typed).digest()
    return b"\x85\x6f\x4a\x83" + digest[:4] + typed, digest


# ---- the vectors ---------------------------------------------------------------------------------------------------
vectors = []


def vector(name, what, meaning, data, verdict, **more):
    vectors.append({"name": name, "what": what, "meaning": meaning, "hex": data.hex(), "verdict": verdict,
                    **{k: v.hex() if isinstance(v, bytes) else v for k, v in more.items()}})


CODES = ["UKR", "POL", "DEU", "FRA"]
roots = {code: bytes([0x10 + i]) * 32 for i, code in enumerate(CODES)}
nodes = {code: bytes([0x20 + i]) * 32 for i, code in enumerate(CODES)}
members = sorted((public(seed), code) for code, seed in roots.items())
genesis = (u16(1) + u16(1) + text("Vectors") + u64(1_700_000_000_000) + b"\x55" * 32 + option(None)
           + u8(8) + u64(268_435_456)
           + items([root + text(code) + text("Nation " + code) + option(None) for root, code in members]))
alliance = record_id("genesis", genesis)
signatures = items([root + sign("genesis", roots[code], genesis) for root, code in members])
vector("genesis", "control:1", "four founders, every signature", genesis + signatures, "ok", id=alliance)
wrong = signatures[:-1] + bytes([signatures[-1] ^ 1])
vector("genesis-one-bad-signature", "control:1", "the last signature has one flipped bit", genesis + wrong, "R05")
vector("genesis-trailing", "control:1", "one byte follows", genesis + signatures + b"\0", "R01")

nation = {code: tagged("nation", alliance + public(seed)) for code, seed in roots.items()}


def roster(code, version, prev, keys, closed=0, note="", generation=0):
    entries = []
    for node, label, witness, status in sorted(keys):
        entries.append(node + bytes([7]) * 32 + text(label) + u8(witness) + status)
    return (alliance + nation[code] + public(roots[code]) + u16(generation) + u64(version) + prev
            + u64(1_700_000_100_000 + version) + items(entries) + u8(closed) + text(note))


ACTIVE = u16(1)
first = roster("POL", 1, ZERO, [(public(nodes["POL"]), "POL-1", 1, ACTIVE)])
vector("roster-first", "control:4", "one active witness key", first + sign("roster", roots["POL"], first), "ok",
       id=record_id("roster", first))
cut = u64(7) + bytes([9]) * 32
second = roster("POL", 2, record_id("roster", first),
                [(public(nodes["POL"]), "POL-1", 1, u16(2) + cut), (public(b"\x31" * 32), "POL-2", 1, ACTIVE)],
                note="first node lost")
vector("roster-second", "control:4", "the first key retired at envelope 7, a new one active",
       second + sign("roster", roots["POL"], second), "ok", id=record_id("roster", second))
vector("roster-foreign-root", "control:4", "signed by another nation's root",
       first + sign("roster", roots["DEU"], first), "R05")
unsorted = first.replace(items([public(nodes["POL"]) + bytes([7]) * 32 + text("POL-1") + u8(1) + ACTIVE]),
                         items([public(nodes["POL"]) + bytes([7]) * 32 + text("POL-1") + u8(1) + ACTIVE] * 2))
vector("roster-key-twice", "control:4", "a key stands twice", unsorted + sign("roster", roots["POL"], unsorted), "R01")


def header(code, seq, prev, time, kind, body, seed=None):
    return (u8(1) + alliance + nation[code] + public(seed or nodes[code]) + u64(seq) + prev + u64(time) + u16(kind)
            + u32(len(body)) + tagged("body", body))


author = public(nodes["POL"])
actor = author + u32(1)
clear = lambda raw: u32(0) + b"\0" + blob(raw)
requirement_ref = nation["UKR"] + u32(0) + text("requirement") + text("0000000001") + option(None)

statement, statement_hash = change(actor, 1, 1, [], [("pledge/7k3m9q2x4d", [], {
    "item": "tents", "quantity": 400, "requirement": requirement_ref, "status": "live", "unit": "each"})])
vector("change-statement", "change", "one pledge, first version, a floating reference", statement, "ok",
       author=author, hash=statement_hash)
revision, revision_hash = change(actor, 2, 7, [statement_hash], [("pledge/7k3m9q2x4d", [(1, actor)], {
    "item": "tents", "quantity": 300, "requirement": requirement_ref, "status": "live", "unit": "each"})])
vector("change-revision", "change", "its revision: a new map at the key that replaces operation 1", revision, "ok",
       author=author, hash=revision_hash, after=["change-statement"])
other_seed = b"\x31" * 32
other = public(other_seed) + u32(1)
rival, rival_hash = change(other, 1, 1, [], [("pledge/7k3m9q2x4d", [], {"item": "tents", "quantity": 250,
                           "requirement": requirement_ref, "status": "live", "unit": "each"})])
vector("change-two-first-writes", "change", "another node of the nation first writes the same key apart; both survive",
       rival, "ok", author=public(other_seed), hash=rival_hash, beside=["change-statement"])
concurrent, concurrent_hash = change(other, 1, 7, [statement_hash], [("pledge/7k3m9q2x4d", [(1, actor)], {
    "item": "tents", "quantity": 350, "requirement": requirement_ref, "status": "live", "unit": "each"})], [actor])
vector("change-concurrent-revision", "change", "another node revises the statement concurrently with change-revision",
       concurrent, "ok", author=public(other_seed), hash=concurrent_hash, after=["change-statement"],
       beside=["change-revision"])
pinned_ref = nation["POL"] + u32(0) + text("pledge") + text("7k3m9q2x4d") + option(b"\x42" * 32)
pinned, pinned_hash = change(actor, 1, 1, [], [("accept/0000000002", [], {
    "pledge": pinned_ref, "quantity": 5, "status": "live", "unit": "each"})])
vector("change-pinned", "change", "a reference that pins one version", pinned, "ok", author=author, hash=pinned_hash)
vector("change-checksum", "change", "one flipped bit", statement[:-1] + bytes([statement[-1] ^ 1]), "checksum",
       author=author)

h1 = header("POL", 1, ZERO, 1_700_000_200_000, 1, clear(statement))
id1 = record_id("envelope", h1)
vector("envelope-first", "envelope", "a change in compartment 0",
       h1 + sign("envelope", nodes["POL"], h1) + clear(statement), "ok", id=id1)
vector("envelope-signed-again", "envelope", "the same header with another valid signature is the same envelope",
       h1 + sign("envelope", nodes["POL"], h1, b"again") + clear(statement), "ok", id=id1)
vector("envelope-wrong-key", "envelope", "signed by another node",
       h1 + sign("envelope", nodes["DEU"], h1) + clear(statement), "R05")
vector("envelope-wrong-body", "envelope", "the body is another change",
       h1 + sign("envelope", nodes["POL"], h1) + clear(revision), "R07")
zero = header("POL", 2, ZERO, 1_700_000_200_000, 1, clear(statement))
vector("envelope-second-without-prev", "envelope", "seq 2 names no predecessor",
       zero + sign("envelope", nodes["POL"], zero) + clear(statement), "R06")
newer = u8(2) + h1[1:]
vector("envelope-newer-wire", "envelope", "wire version 2",
       newer + sign("envelope", nodes["POL"], newer) + clear(statement), "R02")

h2 = header("POL", 2, id1, 1_700_000_201_000, 1, clear(revision))
id2 = record_id("envelope", h2)
witness = (u32(0) + alliance + items([]) + items([nation["POL"] + author + u64(2) + id2]) + ZERO + ZERO)
h3 = header("POL", 3, id2, 1_700_000_202_000, 2, witness)
id3 = record_id("envelope", h3)


def item(time, kind, body=None, digest=None, signature=None):
    carried = b"\1" + blob(body) if body is not None else b"\0" + digest
    return u64(time) + u16(kind) + carried + option(signature)


def run(code, first_seq, first_prev, entries, signature):
    return nation[code] + author + u64(first_seq) + first_prev + items(entries) + signature


packed = run("POL", 1, ZERO, [
    item(1_700_000_200_000, 1, clear(statement)),
    item(1_700_000_201_000, 1, digest=tagged("body", clear(revision)) + u32(len(clear(revision)))),
    item(1_700_000_202_000, 2, witness)], sign("envelope", nodes["POL"], h3))
vector("run", "run", "three envelopes, the second without its body, one signature", packed, "ok",
       ids=[id1.hex(), id2.hex(), id3.hex()])
vector("run-bad-signature", "run", "the last signature is over another header",
       packed[:-64] + sign("envelope", nodes["POL"], h2), "R05")

assert public(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")).hex() == \
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "RFC 8032 test 1"
print(json.dumps({"alliance": alliance.hex(), "nations": {c: n.hex() for c, n in nation.items()}, "vectors": vectors},
                 indent=1))
