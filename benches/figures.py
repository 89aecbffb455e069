"""Reads what the scripts of this folder measured: a report of gannet, and what its origin counted.

    figures.py row REPORT ORIGIN NAME=VALUE...   a line of JSON: quantiles, extras, seconds, goodput
    figures.py tail ROWS LEAST     medians of such lines with hedging and without; fails if the gain is below LEAST
    figures.py job ROWS            the same for jobs with stragglers and without
    figures.py goodput ROWS        the same for goodput
    figures.py gate DIR SVG        draws the series that gate.sh wrote, and a line for each
"""

import json
import math
import pathlib
import statistics
import sys

# What the purse holds from the start, and its share of the firsts.
RESERVE, BUDGET = 10, 0.02


def lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines() if line.startswith("{")]


def quantile(values, share):
    return values[max(0, math.ceil(share * len(values)) - 1)]


def row(report, origin, *labels):
    """`ms.total` runs from the start of the first attempt to the end, hedges or none; queueing is apart."""
    *rows, summary = lines(report)
    total = sorted(row["ms"]["total"] for row in rows if row["outcome"] == "ok")
    counts = lines(origin)[-1]
    extra = counts["requests"] - counts["paths"]
    seconds = summary["elapsed_ms"] / 1e3
    fields = dict(label.split("=", 1) for label in labels)
    fields |= {
        "p50": round(quantile(total, 0.5), 1),
        "p99": round(quantile(total, 0.99), 1),
        "p99.9": round(quantile(total, 0.999), 1),
        "max": round(total[-1], 1),
        "ok": len(total),
        "inputs": len(rows),
        "seconds": round(seconds, 3),
        "goodput": round(len(total) / seconds, 2),
        "firsts": counts["paths"],
        "extra": extra,
        "percent": round(100 * extra / counts["paths"], 2),
        "won": summary["hedges_won"],
    }
    print(json.dumps(fields))


def runs(path):
    """The runs by seed, each by its labels; all must have obtained all, within the budget."""
    by_seed = {}
    for run in lines(path):
        assert run["ok"] == run["inputs"], f"not all was obtained: {run}"
        assert run["extra"] <= max(RESERVE, BUDGET * run["firsts"]), f"extras beyond the budget: {run}"
        by_seed.setdefault(run["seed"], {})[(run.get("stragglers"), run["hedge"])] = run
    return by_seed.values()


def median(values):
    return statistics.median(list(values))


def tail(rows, least):
    pairs = [[run for _, run in sorted(seed.items())] for seed in runs(rows)]
    for place, hedge in enumerate(("auto", "off")):
        keys = ("p50", "p99", "p99.9", "max", "percent")
        told = {key: round(median(pair[place][key] for pair in pairs), 2) for key in keys}
        print(f"hedge {hedge}: medians {told}")
    ratios = [off["p99.9"] / auto["p99.9"] for auto, off in pairs]
    print(f"p99.9 off / auto: {[round(ratio, 1) for ratio in ratios]}, median {median(ratios):.1f} (at least {least})")
    return median(ratios) >= float(least)


def job(rows):
    ratios = {"auto": [], "off": []}
    for seed in runs(rows):
        base = seed[("none", "auto")]["seconds"]
        for hedge, found in ratios.items():
            found.append(seed[("1%x50", hedge)]["seconds"] / base)
    for hedge, found in ratios.items():
        found.sort()
        told = [round(ratio, 2) for ratio in found]
        print(f"hedge {hedge}: time with stragglers / without: {told}, median {median(found):.2f}")
    print("most extra:", max(run["percent"] for run in lines(rows)), "%")
    return median(ratios["auto"]) <= 1.3


def goodput(rows):
    ratios = [seed[(None, "auto")]["goodput"] / seed[(None, "off")]["goodput"] for seed in runs(rows)]
    print(f"goodput auto / off: {[round(ratio, 3) for ratio in ratios]}, median {median(ratios):.3f} (at least 0.98)")
    return median(ratios) >= 0.98


# What each origin of gate.sh allows a second; seconds that a client has to find out; and those of a tick.
ALLOWED = {"concurrency": ("10 in flight, 50 ms each", 200), "rate": ("100 requests a second", 100)}
SETTLING, TICK = 5, 0.5
CLIENTS = {"gannet": "#0b6e4f", "curl": "#c0392b", "aria2": "#8e6bbf"}


def series(path):
    """What was let in and refused a second, at each tick; the last line may be of a shorter one."""
    ticks = [(count["requests"] - count["refused"], count["refused"]) for count in lines(path)[:-1]]
    return [((b[0] - a[0]) / TICK, (b[1] - a[1]) / TICK) for a, b in zip(ticks, ticks[1:])]


def gate(folder, svg):
    panels, is_met = [], True
    for limit, (words, allowed) in ALLOWED.items():
        found = {name: series(path) for name in CLIENTS if (path := pathlib.Path(folder, f"{limit}.{name}")).exists()}
        for name, ticks in found.items():
            settled = ticks[int(SETTLING / TICK) : -2]
            if not settled:
                let_in, refused = (sum(tick[n] for tick in ticks) * TICK for n in (0, 1))
                print(
                    f"{words}: {name}: ended by itself after {len(ticks) * TICK:.1f} s, before it could settle; "
                    f"{let_in:.0f} let in, {refused:.0f} refused in all"
                )
                is_met &= name != "gannet"
                continue
            let_in, refused = (sum(tick[n] for tick in settled) / len(settled) for n in (0, 1))
            share, percent = let_in / allowed, 100 * refused / max(let_in + refused, 1e-9)
            all_refused = sum(tick[1] for tick in ticks) * TICK
            print(
                f"{words}: {name}: after {SETTLING} s {let_in:.1f} a second let in ({share:.2f} of what is allowed), "
                f"{percent:.1f} % refused; refused in all {all_refused:.0f}"
            )
            is_met &= name != "gannet" or (share >= 0.9 and percent < 2)
        panels.append((words, allowed, found))
    pathlib.Path(svg).write_text(drawing(panels))
    return is_met


WIDTH, HEIGHT, LEFT, TOP, GAP = 800, 150, 60, 40, 60


def drawing(panels):
    """Two charts for each origin: what was let in, and what was refused, both a second."""
    parts, top = [], TOP
    for words, allowed, found in panels:
        most_refused = max(tick[1] for ticks in found.values() for tick in ticks)
        for which, title, most in ((0, "let in", allowed * 1.5), (1, "refused", max(most_refused, allowed / 2))):
            parts += chart(top, f"{words}: {title} a second", most, allowed if which == 0 else None,
                           {name: [tick[which] for tick in ticks] for name, ticks in found.items()})
            top += HEIGHT + GAP
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 100} {top}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def chart(top, title, most, allowed, found):
    ticks = max(len(values) for values in found.values())
    x = lambda n: LEFT + WIDTH * n / max(ticks - 1, 1)
    y = lambda value: top + HEIGHT * (1 - min(value / most, 1))
    parts = [f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{title}</text>']
    for value in (0, most / 2, most):
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{LEFT + WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    if allowed:
        parts.append(f'<path d="M{LEFT} {y(allowed):.1f}H{LEFT + WIDTH}" stroke="#333" stroke-dasharray="5 4"/>')
    for second in range(0, int(ticks * TICK) + 1, 5):
        parts.append(f'<text x="{x(second / TICK):.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{second} s</text>')
    for place, (name, values) in enumerate(found.items()):
        points = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{CLIENTS[name]}" stroke-width="1.5"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 10}" y="{top + 16 + 18 * place}" fill="{CLIENTS[name]}">{name}</text>')
    return parts


COMMANDS = {"gate": gate, "row": row, "tail": tail, "job": job, "goodput": goodput}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    if COMMANDS[sys.argv[1]](*sys.argv[2:]) is False:
        sys.exit(1)
