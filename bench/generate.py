"""Makes a git repository of N compiled Chronon configs, to measure `chronon-plan` on.

The repository looks like one that `zipline compile` has filled: thrift-JSON files without a suffix under
`compiled/`, GroupBys of 4-8 KB with the settings of their team spelled out in each, Joins that carry full copies of
the GroupBys they use, StagingQueries whose output other configs read, and a few GroupBys chained to a Join.

Two commits. `main` is the base. `change` (where HEAD points) changes exactly 50 files as a week's pull request
would: 35 GroupBys edited and the 6 files that embed one of them recompiled, 5 StagingQueries with new SQL, one
GroupBy added, one removed, one version bumped (a removed and an added file).

Everything follows from `--seed`: same arguments, same commit ids. Nothing is checked out; the files are in git only.

    python3 bench/generate.py --configs 10000 --out target/bench/10000
"""

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path

MIN_CONFIGS = 200  # fewer leave too little to choose the 50 changes from
CONFIGS_PER_TEAM = 800
CREATED = 1_760_000_000  # both commits carry fixed dates

AREAS = ["payments", "search", "growth", "risk", "ads", "logistics", "pricing", "support", "identity", "catalog",
         "feed", "messaging", "rides", "lending", "insurance", "hosting"]
ENTITIES = ["user", "merchant", "listing", "device", "card", "session", "courier", "region", "campaign", "seller",
            "buyer", "account", "vehicle", "store", "query", "category"]
EVENTS = ["click", "view", "purchase", "refund", "login", "signup", "search", "checkout", "impression", "delivery",
          "message", "review", "chargeback", "transfer", "booking", "cancellation"]
MEASURES = ["amount", "price", "distance", "duration", "latency", "discount", "fee", "score", "quantity", "tax",
            "rating", "tip", "weight", "balance", "margin", "bid"]
TRAITS = ["country", "currency", "channel", "status", "platform", "brand", "tier", "segment", "language", "source",
          "payment_method", "app_version", "os", "city", "plan", "kind"]

# Operation: (number in the compiled JSON, word in the output column)
MIN, MAX, UNIQUE, APPROX_UNIQUE = (0, "min"), (1, "max"), (4, "unique_count"), (5, "approx_unique_count")
COUNT, SUM, AVERAGE, VARIANCE, LAST_K = (6, "count"), (7, "sum"), (8, "average"), (9, "variance"), (13, "last")
NUMERIC = [MIN, MAX, COUNT, SUM, SUM, SUM, AVERAGE, VARIANCE]
WINDOWS = [[1, 7, 30], [7], [30], [7, 30], [1, 3, 7, 14, 30], [90], [7, 28], []]


def digest(*parts):
    """A column hash: 32 hex digits over what the column is made of."""
    return hashlib.md5("\0".join(parts).encode(), usedforsecurity=False).hexdigest()


def table_of(name, namespace):
    return f"{namespace}.{name.replace('.', '_')}"


# ---------------------------------------------------------------- writing JSON


def dump(value, indent, memo):
    """Two spaces, sorted keys, like `json.dumps(indent=2, sort_keys=True)`, and several times as fast.

    `memo` keeps the text of the blocks (class Shared) that a team's configs have in common.
    """
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Shared):
        key = (id(value), indent)
        if key not in memo:
            memo[key] = dump(dict(value), indent, memo)
        return memo[key]
    if not value:
        return "[]" if isinstance(value, list) else "{}"
    pad = "\n" + "  " * (indent + 1)
    if isinstance(value, list):
        body = ("," + pad).join(dump(item, indent + 1, memo) for item in value)
        return f"[{pad}{body}\n{'  ' * indent}]"
    body = ("," + pad).join(f"{quote(key)}: {dump(value[key], indent + 1, memo)}" for key in sorted(value))
    return f"{{{pad}{body}\n{'  ' * indent}}}"


class Shared(dict):
    """A block that many configs carry unchanged."""


# ---------------------------------------------------------------- one team


class Team:
    """All configs of one team, made from the seed and the team's number alone.

    `configs` maps the path in the repository to a pair (kind, what is written). `users` maps a GroupBy's or Join's
    path to the paths of the files that embed it.
    """

    def __init__(self, seed, number, size, guests):
        self.random = random.Random(f"{seed}/{number}")
        self.number = number
        self.name = f"{AREAS[number % len(AREAS)]}_{number // len(AREAS)}" if number >= len(AREAS) else AREAS[number]
        self.guests = guests  # GroupBys of other teams that these Joins may embed
        self.memo = {}
        self.configs = {}
        self.users = {}
        self.parts = {}  # Join path -> [(GroupBy path or None, GroupBy)]
        self.settings = self.make_settings()

        staging, joins = size // 10, size * 15 // 100
        chained = max(1, size // 80)
        group_bys = size - staging - joins - chained
        self.outputs = [self.staging_query(i) for i in range(staging)]
        self.plain = [self.group_by(i) for i in range(group_bys)]
        joined = [self.join(i) for i in range(joins)]
        short = [path for path in joined if len(self.parts[path]) == 2]
        for i in range(chained):
            self.chained_group_by(i, self.random.choice(short))

    # The settings that teams.py gives to every config of the team.
    def make_settings(self):
        r, name = self.random, self.name
        common = {
            "ARTIFACT_PREFIX": "gs://example-artifacts", "CLOUD_PROVIDER": "gcp", "CUSTOMER_ID": "example",
            "GCP_BIGTABLE_INSTANCE_ID": "chronon-features", "GCP_PROJECT_ID": "example-ml",
            "GCP_DATAPROC_CLUSTER_NAME": f"chronon-{name.replace('_', '-')}", "GCP_REGION": "europe-west4",
            "VERSION": "1.28.0",
        }
        conf = {
            "spark.chronon.partition.column": "ds",
            "spark.chronon.partition.format": "yyyy-MM-dd",
            "spark.chronon.table.format_provider.class": "ai.chronon.integrations.cloud_gcp.GcpFormatProvider",
            "spark.executor.memory": r.choice(["4g", "8g", "16g"]),
            "spark.sql.shuffle.partitions": str(r.choice([100, 200, 400])),
        }
        modes = {
            "backfill": {**common, "EXECUTOR_CORES": str(r.choice([2, 4, 8]))},
            "streaming": {**common, "FLINK_PARALLELISM": str(r.choice([4, 8, 16]))},
        }
        return {"conf": Shared(common=conf), "env": Shared(common=common, modeEnvironments=modes)}

    def meta(self, kind, file, variable, version, **more):
        name = f"{self.name}.{file}.{variable}__{version}"
        info = {**self.settings, **more.pop("info")}
        return {"name": name, "team": self.name, "outputNamespace": self.name, "version": str(version),
                "sourceFile": f"{kind}/{self.name}/{file}.py", "executionInfo": info, **more}

    def put(self, kind, config):
        path = f"compiled/{kind}/{self.name}/{config['metaData']['name'].split('.', 1)[1]}"
        self.configs[path] = config
        return path

    def raw_table(self):
        r = self.random
        return f"raw_{self.name}.{r.choice(ENTITIES)}_{r.choice(EVENTS)}_{r.randrange(40)}"

    @staticmethod
    def depends_on(tables):
        specs = [f'{{"name": "wf_{table.replace(".", "_")}_with_offset_0", '
                 f'"spec": "{table}/ds={{{{ macros.ds_add(ds, 0) }}}}"}}' for table in tables]
        return f'{{"airflowDependencies": [{", ".join(specs)}]}}'

    # Reads raw tables; one in five reads another staging query. Returns (output table, key, measures).
    def staging_query(self, i):
        r = self.random
        key, measures = r.choice(ENTITIES), r.sample(MEASURES, r.randint(3, 5))
        if i and r.random() < 0.2:
            table, key, measures = r.choice(self.made)
        else:
            table = self.raw_table()
        event = r.choice(EVENTS)
        columns = ", ".join(f"SUM({m}) AS {m}" for m in measures)
        meta = self.meta("staging_queries", f"{event}_daily", f"{key}_{event}_{i}", 0,
                         info={"offlineSchedule": "@daily"}, customJson=self.depends_on([table]))
        day = {"length": 1, "timeUnit": 1}
        self.put("staging_queries", {
            "metaData": meta,
            "query": f"SELECT {key}_id, {columns}, ds FROM {table} WHERE ds BETWEEN {{{{ start_date }}}} AND "
                     f"{{{{ end_date }}}} AND status NOT IN ('test', 'void') GROUP BY {key}_id, ds",
            "startPartition": f"202{r.randint(2, 5)}-0{r.randint(1, 9)}-01",
            "tableDependencies": [{
                "startOffset": {"length": 0, "timeUnit": 1}, "endOffset": {"length": 0, "timeUnit": 1},
                "tableInfo": {"partitionColumn": "ds", "partitionInterval": day, "table": table},
            }],
        })
        made = (table_of(meta["name"], self.name), key, measures)
        self.made = [*getattr(self, "made", [])[-19:], made]
        return made

    # Three kinds: over events (some with a topic), over a staging query's table, over a snapshot of an entity.
    def group_by(self, i):
        r = self.random
        kind = r.random()
        if kind < 0.2 and self.outputs:
            table, key, measures = r.choice(self.outputs)
            event = "daily"
            source = {"events": {"table": table, "query": {
                "timeColumn": "UNIX_TIMESTAMP(ds, 'yyyy-MM-dd') * 1000", "startPartition": "2024-01-01",
                "selects": {f"{key}_id": f"{key}_id", **{m: m for m in measures}}}}}
        else:
            key, event, table = r.choice(ENTITIES), r.choice(EVENTS), self.raw_table()
            measures = r.sample(MEASURES, r.randint(3, 6))
            selects = {f"{key}_id": f"{key}_id"}
            for m in measures:
                selects[m] = r.choice([m, f"CAST({m}_cents AS DOUBLE) / 100", f"COALESCE({m}, 0)",
                                       f"IF(status = 'void', 0, {m})", f"ABS({m})"])
            traits = r.sample(TRAITS, r.randint(4, 8))
            for t in traits:
                selects[t] = r.choice([t, f"LOWER({t})", f"COALESCE({t}, 'unknown')", f"properties['{t}']"])
            query = {"selects": selects, "startPartition": f"202{r.randint(2, 5)}-0{r.randint(1, 9)}-01"}
            if kind > 0.85:
                source = {"entities": {"snapshotTable": table, "query": query}}
            else:
                query["timeColumn"] = "ts"
                query["wheres"] = [f"{key}_id IS NOT NULL", f"{measures[0]} >= 0"]
                source = {"events": {"table": table, "query": query}}
                if kind < 0.5:
                    source["events"]["topic"] = f"{self.name}.{key}-{event}.v{r.randint(1, 3)}"
        config = {
            "keyColumns": [f"{key}_id"],
            "metaData": self.meta("group_bys", f"{key}_{event}", f"features_{i}", r.choice([0, 0, 1, 2]),
                                  info={"historicalBackfill": 0}, customJson=self.depends_on([table])),
            "sources": [source],
        }
        info = config["metaData"]["executionInfo"]
        if "entities" not in source:
            config["accuracy"] = 0 if "topic" in source["events"] else 1
            config["aggregations"] = [self.aggregation(m, r.choice(NUMERIC)) for m in measures]
            if kind >= 0.2:
                for t in r.sample(traits, 2):
                    config["aggregations"].append(self.aggregation(t, r.choice([LAST_K, UNIQUE, APPROX_UNIQUE])))
        if r.random() < 0.7:
            config["metaData"]["online"] = 1
            info["onlineSchedule"] = "@daily"
        if r.random() < 0.5:
            info["offlineSchedule"] = "@daily"
        config["metaData"]["tags"] = {"owner": self.name, "service": f"{r.choice(AREAS)}-{r.choice(EVENTS)}"}
        hash_columns(config)
        return self.put("group_bys", config)

    def aggregation(self, column, operation):
        made = {"argMap": {}, "inputColumn": column, "operation": operation[0]}
        if operation is LAST_K:
            made["argMap"] = {"k": str(self.random.choice([5, 10, 20]))}
        days = self.random.choice(WINDOWS)
        if days:
            made["windows"] = [{"length": n, "timeUnit": 1} for n in days]
        return made

    # Two to six GroupBys, mostly two or three: of the team, now and then one of another team.
    def join(self, i):
        r = self.random
        count = r.choices([2, 3, 4, 5, 6], [55, 30, 10, 3, 2])[0]
        parts = [(path, self.configs[path]) for path in r.sample(self.plain, count)]
        if self.guests and r.random() < 0.1:
            parts[-1] = (None, r.choice(self.guests))
        event, table = r.choice(EVENTS), self.raw_table()
        keys = dict.fromkeys(part["keyColumns"][0] for _, part in parts)
        left = {"table": table, "query": {
            "timeColumn": "ts", "startPartition": f"202{r.randint(3, 5)}-0{r.randint(1, 9)}-01",
            "selects": {c: c for c in ["ts", f"{event}_id", *keys]}}}
        if r.random() < 0.5:
            left["topic"] = f"{self.name}.{event}.v1"
        config = {
            "left": {"events": left}, "rowIds": [f"{event}_id"], "useLongNames": 0,
            "metaData": self.meta("joins", f"{event}_models", f"{event}_training_{i}", r.choice([0, 0, 1]),
                                  info={"offlineSchedule": "@daily", "onlineSchedule": "@daily"}, online=1,
                                  samplePercent=100.0, consistencySamplePercent=5.0,
                                  customJson=self.depends_on([table])),
        }
        if r.random() < 0.3:
            config["metaData"]["consistencyCheck"] = 1
        path = self.put("joins", config)
        self.parts[path] = parts
        for part, _ in parts:
            if part:
                self.users.setdefault(part, []).append(path)
        self.embed(path)
        if r.random() < 0.3:
            columns = [c for c in config["metaData"]["columnHashes"] if "_sum" in c] or [f"{event}_id"]
            config["derivations"] = [{"name": "*", "expression": "*"},
                                     {"name": "normalized", "expression": f"{columns[0]} / NULLIF({columns[-1]}, 0)"}]
        return path

    def embed(self, path):
        """Fills in the Join's copies of its GroupBys and its column hashes, as compiling does."""
        join = self.configs[path]
        join["joinParts"] = [{"groupBy": embedded(part), "useLongNames": 0} for _, part in self.parts[path]]
        hashes = {c: digest("left", c) for c in join["left"]["events"]["query"]["selects"]}
        for _, part in self.parts[path]:
            for column, value in part["metaData"]["columnHashes"].items():
                if column not in part["keyColumns"]:
                    hashes[f"{part['keyColumns'][0]}_{column}"] = digest(value, path)
        join["metaData"]["columnHashes"] = hashes

    def chained_group_by(self, i, join_path):
        r, join = self.random, self.configs[join_path]
        key = self.parts[join_path][0][1]["keyColumns"][0]
        served = [c for c in join["metaData"]["columnHashes"] if "_sum" in c or "_count" in c][:3]
        column = served[0] if served else key
        config = {
            "accuracy": 0, "keyColumns": [key],
            "aggregations": [self.aggregation("value", SUM), self.aggregation("value", MAX)],
            "metaData": self.meta("group_bys", "chained", f"chained_{i}", 0, info={"historicalBackfill": 0},
                                  online=1, customJson=self.depends_on([])),
            "sources": [{"joinSource": {"join": embedded(join), "query": {
                "selects": {key: key, "value": column}, "startPartition": "2024-03-01", "timeColumn": "ts"}}}],
        }
        hash_columns(config)
        path = self.put("group_bys", config)
        self.users.setdefault(join_path, []).append(path)

    def recompile(self, path):
        """Renews every file that embeds the config at `path`; returns their paths."""
        renewed = []
        for user in self.users.get(path, []):
            if user in self.parts:
                self.embed(user)
            else:
                self.configs[user]["sources"][0]["joinSource"]["join"] = embedded(self.configs[path])
            renewed += [user, *self.recompile(user)]
        return renewed

    def embedders(self, path):
        """How many files embed the config at `path`, at any depth."""
        return len({p for user in self.users.get(path, []) for p in [user, *self.users.get(user, [])]})

    def text(self, path):
        return dump(self.configs[path], 0, self.memo).encode()

    def metadata_file(self):
        path = f"compiled/teams_metadata/{self.name}/{self.name}_team_metadata"
        return path, dump({"executionInfo": self.settings}, 0, self.memo).encode()


def embedded(config):
    """The copy that another config carries: the same but for where it was written."""
    meta = {k: v for k, v in config["metaData"].items() if k not in ("sourceFile", "customJson")}
    return {**config, "metaData": meta}


def hash_columns(config):
    """Sets `metaData.columnHashes`: keys and selected columns, or keys and aggregated columns."""
    source = next(iter(config["sources"][0].values()))
    selects = source["query"]["selects"]
    origin = repr(source.get("table") or source.get("snapshotTable") or source["join"]["metaData"]["columnHashes"])
    origin += repr(source["query"].get("wheres"))
    words = {number: word for number, word in [*NUMERIC, UNIQUE, APPROX_UNIQUE, LAST_K]}
    hashes = {key: digest(origin, selects[key]) for key in config["keyColumns"]}
    if "aggregations" not in config:
        hashes |= {column: digest(origin, text) for column, text in selects.items()}
    for one in config.get("aggregations", []):
        name = f"{one['inputColumn']}_{words[one['operation']]}{one['argMap'].get('k', '')}"
        for days in [f"_{w['length']}d" for w in one.get("windows", [])] or [""]:
            hashes[name + days] = digest(origin, selects[one["inputColumn"]], repr(one["operation"]))
    config["metaData"]["columnHashes"] = hashes


# ---------------------------------------------------------------- the second commit


def edit_group_by(team, path):
    """Changes one select expression, or adds one aggregation."""
    config = team.configs[path]
    query = next(iter(config["sources"][0].values()))["query"]
    column = config["aggregations"][0]["inputColumn"] if "aggregations" in config else max(query["selects"])
    if "aggregations" in config and team.random.random() < 0.4:
        taken = {(a["inputColumn"], a["operation"]) for a in config["aggregations"]}
        new = next(op for op in (MAX, MIN, COUNT, VARIANCE, AVERAGE) if (column, op[0]) not in taken)
        config["aggregations"] = [*config["aggregations"], team.aggregation(column, new)]
    else:
        query["selects"][column] = f"COALESCE({query['selects'][column]}, -1)"
    hash_columns(config)


def change(teams):
    """The second commit: yields (path, bytes to write, or None to delete), 50 of them, over the given teams."""
    written, deleted = {}, []
    free = {id(t): [p for p in t.plain if not t.embedders(p)] for t in teams}
    used = {id(t): [p for p in t.plain if t.embedders(p) == 1] for t in teams}
    for pool in (free, used):
        for t in teams:
            t.random.shuffle(pool[id(t)])

    def take(pool, i):
        team = teams[i % len(teams)]
        return team, pool[id(team)].pop()

    embedders = set()
    for i in range(6):
        team, path = take(used, i)
        while embedders & set(team.users[path]):  # six different files, so that the count is exact
            team, path = take(used, i)
        embedders |= set(team.users[path])
        edit_group_by(team, path)
        for p in [path, *team.recompile(path)]:
            written[p] = team.text(p)
    for i in range(29):
        team, path = take(free, i)
        edit_group_by(team, path)
        written[path] = team.text(path)
    for i in range(5):
        team = teams[i % len(teams)]
        queries = [p for p in team.configs if "/staging_queries/" in p and p not in written]
        path = team.random.choice(queries)
        sql = team.configs[path]["query"]
        team.configs[path]["query"] = sql.replace("('test', 'void')", "('test', 'void', 'internal')")
        written[path] = team.text(path)
    team = teams[0]
    added = team.group_by(len(team.plain))
    written[added] = team.text(added)
    team, path = take(free, 1)
    deleted.append(path)
    team, path = take(free, 2)
    deleted.append(path)
    config = team.configs[path]
    meta = config["metaData"]
    meta["version"] = str(int(meta["version"]) + 1)
    meta["name"] = meta["name"].rsplit("__", 1)[0] + "__" + meta["version"]
    bumped = team.put("group_bys", config)
    written[bumped] = team.text(bumped)
    return sorted(written.items()) + [(path, None) for path in deleted]


# ---------------------------------------------------------------- git


class FastImport:
    """`git fast-import` on a new repository."""

    def __init__(self, repo):
        self.child = subprocess.Popen(["git", "-C", str(repo), "fast-import", "--quiet"], stdin=subprocess.PIPE)
        self.write = self.child.stdin.write

    def commit(self, branch, parent, message, when):
        text = message.encode()
        self.write(f"commit refs/heads/{branch}\ncommitter Bench <bench@example.net> {when} +0000\n"
                   f"data {len(text)}\n".encode() + text + b"\n")
        if parent:
            self.write(f"from refs/heads/{parent}\n".encode())

    def file(self, path, data):
        if data is None:
            self.write(f"D {path}\n".encode())
        else:
            self.write(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))

    def close(self):
        self.child.stdin.close()
        if self.child.wait():
            sys.exit("git fast-import failed")


def git(repo, *args):
    subprocess.run(["git", "-C", str(repo), *args], check=True)


def team_sizes(configs):
    count = max(2, round(configs / CONFIGS_PER_TEAM))
    return [configs // count + (i < configs % count) for i in range(count)]


def generate(out, configs, seed, repack=True):
    """Makes the repository at `out` (which must not exist); returns the number of changed files."""
    if configs < MIN_CONFIGS:
        sys.exit(f"at least {MIN_CONFIGS} configs, please")
    out = Path(out)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(out)], check=True)
    git(out, "symbolic-ref", "HEAD", "refs/heads/change")

    stream = FastImport(out)
    stream.commit("main", None, f"{configs} configs", CREATED)
    sizes = team_sizes(configs)
    editing = {len(sizes) * k // 5 for k in range(5)}  # the teams whose configs the second commit changes
    guests, kept, total, count, kinds = [], [], 0, 0, {}
    for number, size in enumerate(sizes):
        team = Team(seed, number, size, list(guests))
        for path in sorted(team.configs):
            data = team.text(path)
            stream.file(path, data)
            total, count = total + len(data), count + 1
            kind = path.split("/")[1]
            n, b, largest = kinds.get(kind, (0, 0, 0))
            kinds[kind] = (n + 1, b + len(data), max(largest, len(data)))
        stream.file(*team.metadata_file())
        if number in editing:
            kept.append(team)
        else:
            guests.append(team.configs[team.plain[0]])
    changed = change(kept)
    stream.commit("change", "main", "Edit some features", CREATED + 3600)
    for path, data in changed:
        stream.file(path, data)
    stream.close()
    if repack:
        # -f: the deltas of fast-import follow the order of writing. Those that git itself looks for are what a
        # server's repository and so a fresh clone holds.
        git(out, "repack", "-adfq")
    for kind, (n, b, largest) in sorted(kinds.items()):
        print(f"  {kind}: {n}, mean {b / n / 1024:.1f} KB, largest {largest / 1024:.1f} KB")
    print(f"{out}: {count} configs, {total / 1e6:.0f} MB, {len(changed)} files changed between main and change")
    return len(changed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, required=True, help="how many configs the first commit has")
    parser.add_argument("--out", required=True, help="where to make the repository")
    parser.add_argument("--seed", default="chronon", help="same seed, same repository")
    parser.add_argument("--no-repack", action="store_true", help="leave the pack as fast-import wrote it")
    parser.add_argument("--replace", action="store_true", help="delete what is at --out first")
    args = parser.parse_args()
    if args.replace:
        shutil.rmtree(args.out, ignore_errors=True)
    if Path(args.out).exists():
        sys.exit(f"{args.out} exists; --replace makes it anew")
    generate(args.out, args.configs, args.seed, not args.no_repack)


if __name__ == "__main__":
    main()
