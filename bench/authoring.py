"""Writes a small Chronon repository in Python, to time `zipline compile` on.

The measure of `chronon-plan` that people feel is the command they run just before it. This repository has the same mix
as `generate.py`'s (three quarters GroupBys, the rest Joins that use them and StagingQueries), in the files in which a
team would write it: ten or so configs each. `run.py` makes it; nothing here needs Chronon itself.
"""

from pathlib import Path

TEAMS = ["payments", "search", "growth", "risk"]

HEADER = """\
from ai.chronon.repo.constants import RunMode
from ai.chronon.types import ConfigProperties, EnvironmentVariables, Team

default = Team(
    outputNamespace="default",
    conf=ConfigProperties(
        common={
            "spark.chronon.partition.column": "ds",
            "spark.chronon.partition.format": "yyyy-MM-dd",
            "spark.sql.shuffle.partitions": "200",
        },
    ),
    env=EnvironmentVariables(
        common={
            "ARTIFACT_PREFIX": "gs://example-artifacts",
            "CLOUD_PROVIDER": "gcp",
            "CUSTOMER_ID": "example",
            "GCP_BIGTABLE_INSTANCE_ID": "chronon-features",
            "GCP_DATAPROC_CLUSTER_NAME": "chronon",
            "GCP_PROJECT_ID": "example-ml",
            "GCP_REGION": "europe-west4",
        },
    ),
)
"""

TEAM = """
{team} = Team(
    outputNamespace="{team}",
    env=EnvironmentVariables(
        common={{}},
        modeEnvironments={{
            RunMode.BACKFILL: {{"EXECUTOR_CORES": "4"}},
            RunMode.STREAMING: {{"FLINK_PARALLELISM": "8"}},
        }},
    ),
)
"""

GROUP_BYS_HEADER = """\
from ai.chronon.types import Aggregation, EventSource, GroupBy, Operation, Query, TimeUnit, Window, selects

DAYS = [Window(length=days, time_unit=TimeUnit.DAYS) for days in (1, 7, 30)]
"""

GROUP_BY = """
feature_{n} = GroupBy(
    sources=[
        EventSource(
            table="raw_{team}.events_{n}",
            topic="{team}.events-{n}",
            query=Query(
                selects=selects(
                    user_id="user_id",
                    amount_{n}="CAST(amount AS DOUBLE) / 100",
                    place_{n}="LOWER(country)",
                ),
                wheres=["user_id IS NOT NULL"],
                start_partition="2024-01-01",
                time_column="ts",
            ),
        )
    ],
    keys=["user_id"],
    online=True,
    aggregations=[
        Aggregation(input_column="amount_{n}", operation=Operation.SUM, windows=DAYS),
        Aggregation(input_column="amount_{n}", operation=Operation.COUNT, windows=DAYS),
        Aggregation(input_column="place_{n}", operation=Operation.LAST_K(10)),
    ],
    version=0,
)
"""

JOINS_HEADER = """\
from ai.chronon.types import EventSource, Join, JoinPart, Query, selects
{imports}
"""

JOIN = """
training_{n} = Join(
    left=EventSource(
        table="raw_{team}.checkouts_{n}",
        query=Query(selects=selects("user_id", "checkout_id"), time_column="ts", start_partition="2024-03-01"),
    ),
    right_parts=[{parts}],
    row_ids="checkout_id",
    version=0,
)
"""

STAGING_HEADER = """\
from ai.chronon.types import StagingQuery, TableDependency
"""

STAGING = """
daily_{n} = StagingQuery(
    query=\"\"\"
        SELECT user_id, SUM(amount) AS amount, ds
        FROM raw_{team}.events_{n}
        WHERE ds BETWEEN {{{{ start_date }}}} AND {{{{ end_date }}}}
        GROUP BY user_id, ds
    \"\"\",
    dependencies=[TableDependency(table="raw_{team}.events_{n}", partition_column="ds", offset=0)],
    output_namespace="{team}",
    version=0,
)
"""


def write(out, configs):
    """Writes the repository at `out`; returns how many configs it has."""
    out, made = Path(out), 0
    texts = {"teams.py": HEADER + "".join(TEAM.format(team=team) for team in TEAMS)}
    for number, team in enumerate(TEAMS):
        size = configs // len(TEAMS) + (number < configs % len(TEAMS))
        staging, joins = size // 10, size * 15 // 100
        group_bys = size - staging - joins
        made += size
        for start in range(0, group_bys, 10):
            bodies = [GROUP_BY.format(team=team, n=n) for n in range(start + 1, min(start + 10, group_bys) + 1)]
            texts[f"group_bys/{team}/features_{start // 10}.py"] = GROUP_BYS_HEADER + "".join(bodies)
        used = [[(n * 5 + k * 3) % group_bys + 1 for k in range(2 + n % 3)] for n in range(joins)]
        imports = {
            f"from group_bys.{team}.features_{(n - 1) // 10} import feature_{n}" for parts in used for n in parts
        }
        bodies = [
            JOIN.format(team=team, n=n, parts=", ".join(f"JoinPart(group_by=feature_{p})" for p in parts))
            for n, parts in enumerate(used)
        ]
        texts[f"joins/{team}/models.py"] = JOINS_HEADER.format(imports="\n".join(sorted(imports))) + "".join(bodies)
        bodies = [STAGING.format(team=team, n=n) for n in range(staging)]
        texts[f"staging_queries/{team}/daily.py"] = STAGING_HEADER + "".join(bodies)
    for kind in ("group_bys", "joins", "staging_queries"):
        texts[f"{kind}/__init__.py"] = ""
        texts |= {f"{kind}/{team}/__init__.py": "" for team in TEAMS}
    for path, text in texts.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text)
    return made
