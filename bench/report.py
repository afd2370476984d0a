# SPDX-License-Identifier: MIT
"""From samples to a report: JSON for machines, Markdown with tables, and plots."""

import datetime
import functools
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A core with less than this idle is saturated.
SATURATED = 0.95

PACKAGES = ["libuv1-dev", "rapidjson-dev", "libasio-dev", "libevent-dev", "redis-server", "nginx-light"]


class Target:
    """A row of the first table: a line's number beside another's, both taken in one round."""

    def __init__(self, work, metric, line, beside, sense, target, excellent, **where):
        self.work = work
        self.metric = metric
        self.line = line
        self.beside = beside
        self.sense = sense
        self.target = target
        self.excellent = excellent
        self.where = {"group": "targets"} | where


D16 = {"body": 64, "connections": 64, "depth": 16}
KIB16 = {"body": 1024, "connections": 64, "depth": 16}
PUT = {"group": "files", "kind": "put"}
GET = {"group": "files", "kind": "get"}
ECHO = "64 B, 64 connections, 16 deep"
TARGETS = [
    Target(f"{ECHO}, headers repeated", "cost", "cleave", "libuv", "<=", 1.25, 1.12, **D16),
    Target(f"{ECHO}, every header different", "cost", "cleave_ids", "libuv", "<=", 1.7, 1.4, **D16),
    Target(f"{ECHO}, headers repeated", "rate", "cleave", "redis", ">=", 1.5, 1.7, **D16),
    Target(f"{ECHO}, every header different", "rate", "cleave_ids", "redis", ">=", 1.2, 1.4, **D16),
    Target("64 B, 64 connections, 1 deep", "rate", "cleave", "libuv", ">=", 0.93, 0.97,
           body=64, connections=64, depth=1),
    Target("1 KiB, 64 connections, 16 deep", "cost", "cleave", "libuv", "<=", 1.25, 1.12, **KIB16),
    Target("16 KiB, 64 connections, 16 deep", "throughput", "cleave", "libuv", ">=", 1.0, 1.2,
           body=16 * 1024, depth=16),
    Target("1 MiB, 16 connections", "throughput", "cleave", "libuv", ">=", 1.0, 1.2,
           body=1024 * 1024, connections=16),
    Target("1 MiB, 1 connection", "throughput", "cleave", "libuv", ">=", 1.0, 1.2,
           body=1024 * 1024, connections=1),
    Target("a stranger's streaming handler, 64 B", "rate", "streaming", "echo", ">=", 0.9, 1.0,
           group="handlers"),
    Target("a stranger's collected handler, 64 B", "rate", "collected", "echo", ">=", 0.9, 1.0,
           group="handlers"),
    Target("user memory of an idle connection", "memory", "cleave", None, "<=", 1024, 512,
           group="idle"),
    Target("a connection with one request", "cost", "cleave", "libuv", "<=", 1.3, 1.1,
           group="accept"),
    Target("put 1 GiB", "files", "none", "limit", ">=", 0.85, 0.95, **PUT),
    Target("put 1 GiB", "files", "none", "nginx", ">=", 1.2, 1.5, **PUT),
    Target("put 1 GiB with its md5", "files", "none_md5_free", "md5_alone", ">=", 0.9, 0.97, **PUT),
    Target("get 1 GiB", "files", "none", "limit", ">=", 0.9, 0.97, **GET),
    Target("get 1 GiB", "files", "none", "nginx", ">=", 1.0, 1.1, **GET),
    Target("put 10,000 files of 4 KiB", "files", "none", "nginx", ">=", 1.2, 1.5,
           group="files", kind="small put"),
    Target("the same, on the disk", "files", "full", "one_by_one", ">=", 3, 5,
           group="files", kind="small synced put"),
    Target("get 10,000 files of 4 KiB", "files", "none", "nginx", ">=", 0.7, 1.0,
           group="files", kind="small get"),
    *(Target(f"/bin/true, {text} held, {cores}", "runs", f"exec_{held}_{which}",
             f"posix_spawn_{held}_{which}", ">=", 0.8, 0.9,
             group="exec", held=held, cores=which)
      for held, text in (("small", "10 MiB"), ("large", "512 MiB"))
      for which, cores in (("one", "one core"), ("both", "both cores"))),
]
METRICS = {
    "cost": "server CPU each",
    "rate": "messages/s",
    "throughput": "MB/s",
    "files": "speed",
    "runs": "runs/s",
    "memory": "bytes",
}


def size(count):
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"


# ---- Numbers -------------------------------------------------------------------------------------


def metric_of(sample, metric):
    # Beside each other, bodies are of one size.
    if metric in ("rate", "throughput", "files", "runs"):
        return sample["messages"] / sample["seconds"]
    if metric == "cost":
        return sample["server_seconds"] / sample["messages"] * 1e9
    if metric == "all_cost":  # with that of the programs which a server has run
        spent = sample["server_seconds"] + sample["children_busy"] * sample["seconds"]
        return spent / sample["messages"] * 1e9
    if metric == "memory":
        return sample["bytes_per_connection"]
    return sample[metric]


def spread(values):
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(results, metric, line, beside):
    """Round by round, as a machine is never as fast as it was a minute ago."""
    pairs = zip(results.get(line, []), results.get(beside, []))
    return [metric_of(one, metric) / metric_of(other, metric) for one, other in pairs
            if one is not None and other is not None and metric_of(other, metric) > 0]


def saturated(samples):
    server = statistics.median(sample["server_core_busy"] for sample in samples) >= SATURATED
    load = statistics.median(sample["load_core_busy"] for sample in samples) >= SATURATED
    return "both" if server and load else "server" if server else "client" if load else "neither"


def line_summary(point, name):
    samples = [sample for sample in point.results[name] if sample is not None]
    if not samples:
        return None
    metrics = ["rate", "cost", "p50_us", "p99_us", "p999_us", "server_core_busy", "load_core_busy"]
    if point.kind == "idle":
        metrics = ["rate", "cost", "memory", "idle_busy", "server_core_busy", "load_core_busy"]
    if point.kind == "exec":
        metrics += ["all_cost", "most_us"]
    if point.kind == "rate":
        metrics += ["late_p99_us", "skipped"]
    summary = {key: spread([metric_of(sample, key) for sample in samples]) for key in metrics}
    summary["saturated"] = saturated(samples)
    summary["rates"] = [round(metric_of(sample, "rate"), 1) for sample in samples]
    summary["costs"] = [round(metric_of(sample, "cost"), 2) for sample in samples]
    for metric in ("rate", "cost", "all_cost"):
        if metric not in summary:
            continue
        of = ratios(point.results, metric, name, baseline(point))
        if of and name != baseline(point):
            summary[f"{metric}_ratio"] = spread(of)
    return summary


def baseline(point):
    """The line that the others of a point are divided by."""
    return "libuv" if "libuv" in point.results else next(iter(point.results))


def verdict(target, values):
    if not values:
        return "not measured"
    median = statistics.median(values)
    for limit, word in ((target.excellent, "excellent"), (target.target, "met")):
        if median <= limit if target.sense == "<=" else median >= limit:
            return word
    return "missed"


def target_summary(target, points, titles):
    values = []
    for point in points:
        if any(getattr(point, key, None) != value for key, value in target.where.items()):
            continue
        if target.beside is None:
            samples = [sample for sample in point.results.get(target.line, []) if sample]
            values = [metric_of(sample, target.metric) for sample in samples]
        else:
            values = ratios(point.results, target.metric, target.line, target.beside)
        break
    return {
        "work": target.work,
        "metric": METRICS[target.metric],
        "line": target.line,
        "beside": titles[target.beside] if target.beside else "",
        "target": f"{target.sense} {target.target}",
        "excellent": f"{target.sense} {target.excellent}",
        "measured": spread(values) if values else None,
        "verdict": verdict(target, values),
    }


# ---- The machine ---------------------------------------------------------------------------------


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def machine(folder):
    model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"$', pathlib.Path("/etc/os-release").read_text(), re.M)
    cache = pathlib.Path(folder, "CMakeCache.txt").read_text(encoding="utf-8")
    compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache, re.M)[1]
    kind = re.search(r"^CMAKE_BUILD_TYPE:\w+=(.*)$", cache, re.M)[1]
    versions = {}
    for package in PACKAGES:
        version = output_of("dpkg-query", "-W", "-f", "${Version}", package)
        if version:
            versions[package] = version
    commit = output_of("git", "rev-parse", "--short=10", "HEAD")
    if output_of("git", "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    return {
        "processor": model[1] if model else os.uname().machine,
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 1024 / 1024, 1),
        "kernel": os.uname().release,
        "system": system[1] if system else "",
        "compiler": output_of(compiler, "--version").splitlines()[0],
        "build": kind,
        "packages": versions,
        "commit": commit,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def summary(points, lines, run, folder, seconds):
    """All of the report, as it stands in report.json."""
    titles = {name: line.title for name, line in lines.items()}
    groups = {point.group for point in points}
    return {
        "machine": machine(folder),
        "short": run.short,
        "rounds": run.rounds,
        "seconds": round(seconds),
        "samples": run.sampler.taken,
        "dropped": run.sampler.dropped,
        "disturbed": run.sampler.disturbed,
        "not_installed": run.skipped,
        "failures": run.failures,
        "titles": titles,
        "targets": [target_summary(target, points, titles) for target in TARGETS
                    if target.where["group"] in groups],
        "points": [
            {
                "group": point.group,
                "kind": point.kind,
                "name": point.name,
                "body": point.body,
                "connections": point.connections,
                "depth": point.depth,
                "share": point.share,
                "lines": {name: line_summary(point, name) for name in point.results
                          if line_summary(point, name)},
            }
            for point in points
        ],
    }


# ---- Markdown ------------------------------------------------------------------------------------


def number(value):
    """Three digits that say something."""
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 1e3:
        return f"{value / 1e3:.{0 if value >= 1e5 else 1}f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(values, keys=("median", "min", "max")):
    """Nanoseconds, and their spread in the same unit."""
    unit, name = next(((unit, name) for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
                       if values["median"] >= unit), (1, "ns"))
    texts = []
    for key in keys:
        value = values[key] / unit
        texts.append(f"{value:.0f}" if value >= 100 else f"{value:.3g}")
    return f"{texts[0]} {name}" + (f" ({texts[1]}–{texts[2]})" if len(texts) > 1 else "")


def time_text(nanoseconds):
    return times({"median": nanoseconds}, ["median"])


def with_spread(values, text):
    return f"{text(values['median'])} ({text(values['min'])}–{text(values['max'])})"


def ratio(value):
    return f"{value:.2f}"


def whole(value):
    return f"{value:,.0f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def targets_table(result):
    rows = []
    for target in result["targets"]:
        measured = target["measured"]
        rows.append([
            f"{target['work']}: {target['metric']}",
            target["beside"],
            target["target"],
            target["excellent"],
            with_spread(measured, whole if target["metric"] == "bytes" else ratio)
            if measured else "",
            f"**{target['verdict']}**" if target["verdict"] == "missed" else target["verdict"],
        ])
    return table(["work", "beside", "target", "excellent", "measured", ""], rows)


def yardstick_table(result):
    rows = []
    for point in result["points"]:
        lines = point["lines"]
        if point["group"] != "targets" or not {"epoll", "libuv"} <= set(lines):
            continue
        pairs = list(zip(lines["libuv"]["rates"], lines["epoll"]["rates"]))
        costs = list(zip(lines["libuv"]["costs"], lines["epoll"]["costs"]))
        rows.append([
            point["name"],
            number(lines["libuv"]["rate"]["median"]),
            number(lines["epoll"]["rate"]["median"]),
            with_spread(spread([one / other for one, other in pairs]), ratio),
            with_spread(spread([one / other for one, other in costs]), ratio),
        ])
    head = ["point", "bare libuv /s", "bare epoll /s", "rate, libuv / epoll", "CPU, libuv / epoll"]
    return table(head, rows) if rows else ""


def cores(line):
    server, load = (line[key]["median"] for key in ("server_core_busy", "load_core_busy"))
    return f"{line['saturated']} ({min(server, 1):.0%}, {min(load, 1):.0%})"


def beside(line, metric):
    values = line.get(f"{metric}_ratio")
    return with_spread(values, ratio) if values else ""


def echo_row(line):
    return [
        with_spread(line["rate"], number),
        beside(line, "rate"),
        times(line["cost"]),
        beside(line, "cost"),
        time_text(line["p50_us"]["median"] * 1e3),
        time_text(line["p99_us"]["median"] * 1e3),
        cores(line),
    ]


ECHO_HEAD = ["messages/s", "ratio", "server CPU each", "ratio", "p50", "p99", "saturated"]
HANDLERS_HEAD = [*ECHO_HEAD, "instructions each"]
# The lines of the group, as bench/instructions names what it counts.
COUNTED = {"echo": "built_in", "collected": "collected", "streaming": "streaming", "later": "later"}
ACCEPT_HEAD = ["connections/s"] + ECHO_HEAD[1:]


def idle_row(line):
    return [
        with_spread(line["memory"], whole),
        f"{line['idle_busy']['median']:.2%}",
        number(line["rate"]["median"]),
        times(line["cost"]),
        beside(line, "cost"),
        cores(line),
    ]


IDLE_HEAD = ["bytes each", "CPU when idle", "opened/s", "server CPU to open each", "ratio",
             "saturated"]


def rate_row(line):
    return [
        number(line["rate"]["median"]),
        times({key: value * 1e3 for key, value in line["p99_us"].items()}),
        time_text(line["p50_us"]["median"] * 1e3),
        time_text(line["late_p99_us"]["median"] * 1e3),
        time_text(line["cost"]["median"]),
        f"{min(line['server_core_busy']['median'], 1):.0%}",
    ]


RATE_HEAD = ["messages/s", "p99", "p50", "sent late, p99", "server CPU each", "server's core"]


def file_row(line, body):
    """Speed by bytes or by files, whichever it is that a point is about."""
    large = body >= 1024 * 1024
    scale = body / 1e6 if large else 1
    rate = {key: value * scale for key, value in line["rate"].items()}
    return [with_spread(rate, number) + (" MB/s" if large else " files/s"), *echo_row(line)[1:]]


FILE_HEAD = ["speed", "ratio", "server CPU per file", *ECHO_HEAD[3:]]


def exec_row(line):
    return [
        with_spread(line["rate"], number),
        beside(line, "rate"),
        times(line["cost"]),
        beside(line, "cost"),
        times(line["all_cost"]),
        beside(line, "all_cost"),
        *(times({key: value * 1e3 for key, value in line[metric].items()})
          for metric in ("p50_us", "p99_us", "most_us")),
    ]


EXEC_HEAD = ["runs/s", "ratio", "its own CPU per run", "ratio", "with the program's", "ratio",
             "an echo meanwhile, p50", "p99", "longest"]


GROUPS = {
    "targets": "The points of the targets",
    "handlers": "A stranger's handlers, in one process with the built-in echo",
    "accept": "Connections that come, ask once and go; 64 at once",
    "idle": "Idle connections",
    "connections": "Cost against the number of connections",
    "body": "Cost against the size of the body",
    "load": "Latency against the load that is offered",
    "files": "Transfers of files",
    "exec": "Runs of programs, four at once",
    "echo": "Echo: bodies, connections and depths",
}
PLOTS = {
    "targets": ("rates.svg", "messages a second, 64 B, 64 connections, 16 deep"),
    "connections": ("connections.svg", "server CPU per message against connections"),
    "body": ("body.svg", "server CPU per message against the size of the body"),
    "load": ("load.svg", "p99 against offered load"),
}


def instructions(line):
    """What is recorded of such a handler where headers are repeated, in memory."""
    record = json.loads((pathlib.Path(__file__).parent / "instructions.json").read_text(encoding="utf-8"))
    return f"{record['instructions'][f'echo_{COUNTED[line]}_repeated_header']:,}"


def group_table(result, group):
    head, rows = ECHO_HEAD, []
    for point in result["points"]:
        if point["group"] != group:
            continue
        row, name = echo_row, point["name"]
        if point["kind"] == "accept":
            head = ACCEPT_HEAD
        if point["kind"] == "idle":
            row, head = idle_row, IDLE_HEAD
        elif point["kind"] == "rate":
            row, head = rate_row, RATE_HEAD
        elif group == "files":
            row, head = functools.partial(file_row, body=point["body"]), FILE_HEAD
        elif group == "exec":
            row, head = exec_row, EXEC_HEAD
        elif group == "handlers":
            head = HANDLERS_HEAD
        for line, values in point["lines"].items():
            rows.append([name, result["titles"][line]] + row(values))
            if group == "handlers":
                rows[-1].append(instructions(line))
            name = ""
    return table(["point", "line"] + head, rows) if rows else ""


def markdown(result, level, images):
    """The report, with headings from `level` on, and plots where `images` says."""
    here = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in here["packages"].items())
    heading = "#" * level
    text = [
        f"{heading} Report of {here['date']}\n",
        f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB; {here['system']}, "
        f"Linux {here['kernel']}; {here['compiler']}, {here['build']}; {packages}. Cleave is commit "
        f"{here['commit']}.\n",
        f"{result['rounds']} rounds in {result['seconds']} s: {result['samples']} samples, of which "
        f"{result['dropped']} were dropped because other processes had more than 15 % of a core; "
        f"{result['disturbed']} were kept although they were disturbed, as repeating did not help.\n",
    ]
    if result["short"]:
        text.append("A short run: it shows that everything runs, and its numbers mean nothing.\n")
    for kind, package in result["not_installed"].items():
        text.append(f"Without {kind}: the package {package} is not installed.\n")
    for failure in result["failures"]:
        text.append(f"**Failed:** {failure}\n")
    if result["targets"]:
        text += [f"{heading}# Targets\n", targets_table(result)]
    yardstick = yardstick_table(result)
    if yardstick:
        text += [f"{heading}# The yardstick beside bare epoll\n", yardstick]
    for group, title in GROUPS.items():
        rows = group_table(result, group)
        if not rows:
            continue
        text.append(f"{heading}# {title}\n")
        if group in PLOTS and PLOTS[group][0] in images:
            name, caption = PLOTS[group]
            text.append(f"![{caption}]({images[name]})\n")
        text.append(rows)
    return "\n".join(text)


# ---- Plots ---------------------------------------------------------------------------------------


def block(name, rows):
    """Data that a script of gnuplot carries in itself."""
    lines = ["\t".join(str(value) for value in row) for row in rows]
    return f"${name} << END\n" + "\n".join(lines) + "\nEND\n"


def bars(result):
    rows = []
    for point in result["points"]:
        if (point["group"], point["body"], point["depth"]) != ("targets", 64, 16):
            continue
        for name, line in point["lines"].items():
            rate = line["rate"]
            title = "\\n".join(textwrap.wrap(result["titles"][name], 10))
            rows.append([f'"{title}"', rate["median"] / 1e6, rate["min"] / 1e6, rate["max"] / 1e6])
    if not rows:
        return None
    return (
        block("data", rows)
        + 'set ylabel "million messages a second"\nset yrange [0:*]\nset style fill solid 0.6\n'
        + "set boxwidth 0.6\nset bmargin 5\nunset key\n"
        + "plot $data using 0:2:xtic(1) with boxes linecolor 1, "
        + "$data using 0:2:3:4 with yerrorbars linecolor black pointtype 0\n"
    )


def curves(result, group, x, metric, scale, settings):
    """Lines with their spread; `x` is taken from a point and one of its lines."""
    blocks, plots = [], []
    names = {name for point in result["points"] if point["group"] == group
             for name in point["lines"]}
    for color, name in enumerate(CURVE_ORDER, 1):
        if name not in names:
            continue
        rows = []
        for point in result["points"]:
            line = point["lines"].get(name)
            if point["group"] == group and line and x(point, line) > 0:
                values = line[metric]
                rows.append([x(point, line)] + [values[key] * scale
                                                for key in ("median", "min", "max")])
        blocks.append(block(name, rows))
        title = result["titles"][name]
        plots.append(f'${name} using 1:2:3:4 with yerrorlines linecolor {color} pointtype 7 '
                     f'pointsize 0.5 title "{title}"')
    if not plots:
        return None
    return "".join(blocks) + settings + "set key top left\nplot " + ", \\\n  ".join(plots) + "\n"


CURVE_ORDER = ["libuv", "cleave", "redis"]


def plot_scripts(result):
    logarithmic = "set logscale xy\nset format x '10^{%T}'\n"
    return {
        "rates.svg": bars(result),
        "connections.svg": curves(
            result, "connections", lambda point, _: point["connections"], "cost", 1e-3,
            'set logscale x\nset yrange [0:*]\nset xlabel "connections"\n'
            'set ylabel "server CPU per message, µs"\n'),
        "body.svg": curves(
            result, "body", lambda point, _: point["body"], "cost", 1e-3,
            logarithmic + 'set xlabel "bytes of body"\nset ylabel "server CPU per message, µs"\n'),
        "load.svg": curves(
            result, "load", lambda _, line: line["rate"]["median"] / 1e3, "p99_us", 1,
            'set logscale y\nset xlabel "thousand messages a second, offered"\n'
            'set ylabel "p99, µs"\n'),
    }


def plot(result, folder):
    """Draws what there is data for; says which plots there are."""
    drawn = {}
    if shutil.which("gnuplot") is None:
        print("without plots: the package gnuplot-nox is not installed", flush=True)
        return drawn
    for name, script in plot_scripts(result).items():
        if script is None:
            continue
        head = (f"set terminal svg size 800,420 background 'white' font 'sans-serif,12'\n"
                f"set output '{name}'\nset grid\nset border 3\nset tics nomirror\n")
        subprocess.run(["gnuplot"], input=head + script, text=True, cwd=folder, check=True,
                       capture_output=True)
        drawn[name] = name
    return drawn


# ---- Files ---------------------------------------------------------------------------------------


def write_data(result, folder):
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return plot(result, folder)


def write(result, folder):
    images = write_data(result, folder)
    (folder / "report.md").write_text(markdown(result, 1, images), encoding="utf-8")


BEGIN, END = "<!-- the last report -->", "<!-- the end of it -->"


def record(result, bench):
    """Puts the report where it is kept: into the page, and its data and plots beside it."""
    images = write_data(result, bench / "results")
    page = bench / "README.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    images = {name: f"results/{name}" for name in images}
    report = markdown(result, 3, images)
    page.write_text(f"{before}{BEGIN}\n\n{report}\n{END}{after}", encoding="utf-8")
