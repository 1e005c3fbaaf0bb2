"""Usage: compare_tensors.py EXPECTED GOT: two safetensors files of one op, of the CPU and of a GPU.

Prints the largest difference of each tensor, relative to the largest number of the expected one, and
its bound. Status 1 where a tensor is missing, has another size, is beyond its bound or has a NaN.
"""

import array
import json
import struct
import sys

CODES = {"F32": "f", "F64": "d", "I64": "q", "U8": "B"}
# Sums in another order, through a whole network or a virtual step.
BOUNDS = {"F64": 1e-9}
OTHER_BOUND = 2e-4


def tensors(path):
    """{name: (dtype, values)}"""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    found = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = array.array(CODES[entry["dtype"]], data[8 + size + begin:8 + size + end])
        found[name] = (entry["dtype"], values)
    return found


def main():
    expected, got = tensors(sys.argv[1]), tensors(sys.argv[2])
    wrong = sorted(expected) != sorted(got)
    for name, (dtype, values) in expected.items():
        other = got.get(name, (None, []))[1]
        most = max((abs(x) for x in values), default=0) or 1
        differences = [abs(x - y) for x, y in zip(values, other)]
        error = max(differences, default=0) / most
        bound = BOUNDS.get(dtype, OTHER_BOUND)
        right = (len(values) == len(other) and error <= bound and
                 all(d == d for d in differences))
        wrong |= not right
        print(f"{name}: {error:.2g} of {bound:g}{'' if right else ', WRONG'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
