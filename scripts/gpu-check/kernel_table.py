"""Usage: ncu ... --csv --print-units base --metrics METRICS PROGRAM | kernel_table.py STEPS FLOOR_GB

Adds up what ncu measured of the kernels of STEPS steps (gpu__time_duration.sum, dram__bytes_read.sum,
dram__bytes_write.sum) and prints a line for each kernel, and for the step: launches, time, bytes of
device memory. FLOOR_GB stands beside them: the bytes of a step that reads and writes each operand
of each convolution once. Lines of other programs in the input are passed over. Status 1 where a
kernel lacks a number, or there is none.
"""

import collections
import csv
import sys

TIME = "gpu__time_duration.sum"
BYTES = ("dram__bytes_read.sum", "dram__bytes_write.sum")


def measured(lines):
    """Yields (launch, kernel, metric, value) in the units of --print-units base."""
    rows = csv.reader(line for line in lines if line.startswith('"'))
    columns = next(rows, None)
    if columns is None:
        return
    wanted = [columns.index(name) for name in ("ID", "Kernel Name", "Metric Name", "Metric Value")]
    for row in rows:
        launch, kernel, metric, value = (row[column] for column in wanted)
        yield launch, kernel, metric, float(value.replace(",", ""))


def main():
    steps, floor_gb = int(sys.argv[1]), float(sys.argv[2])
    launches = collections.defaultdict(dict)  # (launch, kernel) -> metric -> value
    for launch, kernel, metric, value in measured(sys.stdin):
        launches[launch, kernel][metric] = value
    totals = collections.defaultdict(lambda: [0, 0.0, 0.0])  # kernel -> launches, ns, bytes
    for (launch, kernel), values in launches.items():
        for name in (TIME, *BYTES):
            if name not in values:
                sys.exit(f"kernel_table.py: launch {launch}, {kernel}: no {name}")
        total = totals[kernel]
        total[0] += 1
        total[1] += values[TIME]
        total[2] += sum(values[name] for name in BYTES)
    if not totals:
        sys.exit("kernel_table.py: no kernel in the input")

    width = max(len(kernel) for kernel in totals)
    print(f"{'a step':{width}} {'launches':>9} {'us':>9} {'MB':>9} {'GB/s':>7}")

    def line(name, count, time_ns, size):
        rate = f"{size / time_ns:7.0f}" if time_ns > 0 else f"{'-':>7}"
        print(f"{name:{width}} {count / steps:9.1f} {time_ns / steps / 1e3:9.1f} "
              f"{size / steps / 1e6:9.1f} {rate}")

    for kernel, total in sorted(totals.items(), key=lambda item: -item[1][1]):
        line(kernel, *total)
    whole = [sum(column) for column in zip(*totals.values())]
    line("all", *whole)
    print(f"device memory: {whole[2] / steps / 1e9:.3f} GB a step, floor {floor_gb:g} GB, "
          f"{whole[2] / steps / 1e9 / floor_gb:.2f} times")


if __name__ == "__main__":
    main()
