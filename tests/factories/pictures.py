"""Pictures as tests read them."""

import zlib


def pixels(png):
    """Decode an 8-bit colour PNG into grey rows, as a reader of any language would."""
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    channels = {2: 3, 6: 4}[png[25]]
    assert png[24] == 8
    packed, place = b"", 8
    while place < len(png):
        length, kind = int.from_bytes(png[place : place + 4], "big"), png[place + 4 : place + 8]
        packed += png[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    raw, stride = zlib.decompress(packed), width * channels
    above, grey = bytearray(stride), bytearray()
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1 : start + 1 + stride])
        unfilter(raw[start], line, above, channels)
        grey += line[1::channels]
        above = line
    return memoryview(bytes(grey)).cast("B", (height, width))


def unfilter(kind, line, above, channels):
    """Undo one row's filter (PNG 1.2, section 6)."""
    if kind == 0:
        return
    if kind == 2:
        line[:] = bytes((one + other) & 0xFF for one, other in zip(line, above, strict=True)) if any(line) else above
        return
    for at in range(len(line)):
        left = line[at - channels] if at >= channels else 0
        corner = above[at - channels] if at >= channels else 0
        guess = left + above[at] - corner
        near = min((left, above[at], corner), key=lambda one: abs(guess - one))
        line[at] = (line[at] + (0, left, above[at], (left + above[at]) // 2, near)[kind]) & 0xFF
