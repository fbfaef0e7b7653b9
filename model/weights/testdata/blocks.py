"""Records what the gguf package makes of blocks of every type that we read.

    python blocks.py --out blocks.json.gz

The blocks are random bytes with scales chosen to be nasty: zeros, subnormals,
the largest numbers, infinities, NaN, both signs. The file is a gzipped JSON
object: per type the blocks and the float32 values (base64, little-endian), every
NaN written as 7fc00000; and f16_sha256, the hash over the float32 values of all
65,536 half-precision numbers in order.

Made with gguf 0.19.0 and numpy 2.4.6.
"""

import argparse
import base64
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# Half-precision scales: one, small and large normals, the smallest and largest
# subnormals, zeros, the largest numbers, infinities, NaN.
SCALES = [0x3C00, 0xBC00, 0x2E66, 0x1234, 0x0400, 0x8400, 0x0001, 0x8001, 0x03FF, 0x0000, 0x8000,
          0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00]

# Type and where its half-precision scales stand in a block.
TYPES = {
    "F32": [], "F16": [0], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}


def float_bytes(values):
    values = values.astype("<f4").reshape(-1)
    bits = values.view("<u4").copy()
    bits[np.isnan(values)] = 0x7FC00000
    return bits.tobytes()


def blocks_of(rng, name, places):
    _, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    if not places:
        return rng.integers(0, 256, (512, size), dtype=np.uint8)
    out = rng.integers(0, 256, (2 * len(SCALES), size), dtype=np.uint8)
    for i, row in enumerate(out):
        for j, at in enumerate(places):
            # The second scale walks through the list at another pace.
            scale = SCALES[(i * (1 + 4 * j) + j) % len(SCALES)]
            if i >= len(SCALES):  # ordinary scales, as in a real model
                scale = int(np.float16(rng.normal() / 100).view(np.uint16))
            row[at], row[at + 1] = scale & 255, scale >> 8
    return out


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    rng = np.random.default_rng(11)
    np.seterr(all="ignore")
    result = {"types": {}}
    for name, places in TYPES.items():
        blocks = blocks_of(rng, name, places)
        values = dequantize(blocks.reshape(-1), GGMLQuantizationType[name])
        result["types"][name] = {"blocks": base64.b64encode(blocks.tobytes()).decode(),
                                 "values": base64.b64encode(float_bytes(values)).decode()}
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    result["f16_sha256"] = hashlib.sha256(float_bytes(halves)).hexdigest()
    raw = json.dumps(result, separators=(",", ":")).encode()
    args.out.write_bytes(gzip.compress(raw, 9, mtime=0))


if __name__ == "__main__":
    main()
