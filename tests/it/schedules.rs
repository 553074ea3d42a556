//! Schedules: laws over the DAGs of every repository at hand, and what they are, as files that
//! people read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use chronon_plan::model::catalog::Config;
use chronon_plan::model::facts::Extent;
use chronon_plan::model::facts::PartRole;
use chronon_plan::model::facts::Role;
use chronon_plan::model::lineage::Lineage;
use chronon_plan::model::resource::resources;
use chronon_plan::plan::settings;
use chronon_plan::schedule;
use chronon_plan::schedule::Built;
use chronon_plan::schedule::Inputs;
use chronon_plan::schedule::Teams;
use chronon_plan::schedule::spec::Manifest;
use chronon_plan::schedule::spec::Work;
use chronon_plan::source;
use chronon_plan::source::Cache;
use chronon_plan::source::Pair;
use chronon_plan::source::Repository;
use chronon_plan::source::Sides;
use flate2::read::ZlibDecoder;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;

use crate::support::Repo;
use crate::support::corpus;
use crate::support::files;
use crate::support::golden;
use crate::support::project;
use crate::support::run;

/// A repository whose schedules are looked at: name, where its files are, the compiled root, and
/// the folder of its changes.
struct Site {
    name: String,
    repo: Repo,
    root: &'static str,
}

/// What every settings file here says beside the root.
const SETTINGS: &str = "state = \"gs://state/team\"\n[env.prod.airflow]\ndags = \"gs://dags/chronon\"\n[env.prod.backfill]\nstart = \"2024-01-01\"\n";

/// Settings; what `more` adds to a table follows its head.
fn settings_of(root: &str, more: &str) -> String {
    let text = format!("[env.prod]\nroot = \"{root}\"\n{SETTINGS}");
    match more.split_once('\n') {
        Some((head, lines)) if text.contains(head) => {
            text.replace(&format!("{head}\n"), &format!("{head}\n{lines}"))
        }
        _ => format!("{text}{more}"),
    }
}

impl Site {
    fn of(name: &str, from: &Path, root: &'static str) -> Self {
        let repo = Repo::new();
        repo.copy(from, root);
        repo.write("chronon-plan.toml", settings_of(root, ""));
        repo.commit("base");
        Self { name: name.to_owned(), repo, root }
    }

    /// With the changes of a folder as a second commit.
    fn then(self, change: &Path) -> Self {
        self.repo.copy(&change.join(self.root), self.root);
        if let Ok(removed) = fs::read(change.join("removed.json")) {
            let removed: Vec<String> = serde_json::from_slice(&removed).unwrap();
            removed.iter().for_each(|path| self.repo.remove(path));
        }
        self.repo.commit("change");
        let name = change.file_name().unwrap().to_str().unwrap();
        Self { name: format!("{} {name}", self.name), ..self }
    }

    fn render(&self) -> (tempfile::TempDir, Manifest) {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        run(self.repo.path(), &["airflow", "render", "--out", folder]).ok();
        let manifest = manifest(out.path());
        (out, manifest)
    }
}

fn manifest(folder: &Path) -> Manifest {
    serde_json::from_slice(&fs::read(folder.join("chronon_dags.json")).unwrap()).unwrap()
}

/// The bases: those of the fixtures, and of the corpus where this machine has it.
fn bases() -> Vec<Site> {
    let fixtures = project().join("fixtures");
    let mut sites = vec![
        Site::of("zipline", &fixtures.join("zipline/base/compiled"), "compiled"),
        Site::of("oss", &fixtures.join("oss/base/production"), "production"),
    ];
    if let Some(corpus) = corpus() {
        let marketplace = corpus.join("marketplace/base/compiled");
        sites.push(Site::of("marketplace", &marketplace, "compiled"));
        let airbnb = corpus.join("airbnb-production");
        sites.push(Site::of("airbnb", &airbnb, "production"));
    }
    sites
}

/// Every change of the fixtures, over its base.
fn changed() -> Vec<Site> {
    let mut sites = Vec::new();
    for (name, root) in [("zipline", "compiled"), ("oss", "production")] {
        let fixtures = project().join("fixtures").join(name);
        let mut changes: Vec<PathBuf> =
            fs::read_dir(fixtures.join("changes")).unwrap().map(|it| it.unwrap().path()).collect();
        changes.sort();
        for change in changes.into_iter().filter(|it| it.join(root).is_dir()) {
            sites.push(Site::of(name, &fixtures.join("base").join(root), root).then(&change));
        }
    }
    sites
}

/// What the library makes of the newest commit, with more settings.
fn built(site: &Site, more: &str) -> Built {
    let repository = Repository::open(site.repo.path()).unwrap();
    let head = repository.revision("HEAD").unwrap();
    let (root, extent) = (site.root, Extent::Facts);
    let sides = Sides { base: &head, head: &head, root, dialect: None, extent };
    let pair: Pair = source::catalogs(&repository, &sides, &Cache::off()).unwrap();
    let settings = settings::read(&settings_of(site.root, more)).unwrap();
    let teams = Teams::of(&settings.teams, None, std::iter::empty()).unwrap();
    let lineage = Lineage::of(&pair.head);
    schedule::build(&Inputs {
        env: "prod",
        catalog: &pair.head,
        lineage: &lineage,
        settings: &settings.envs["prod"],
        teams: &teams,
        state: Some("gs://state/team/prod"),
    })
}

/// All of them: what holds for every repository is held against each.
fn sites() -> Vec<Site> {
    bases().into_iter().chain(changed()).collect()
}

#[test]
fn a_commit_makes_one_manifest_wherever_and_however_it_came_about() {
    for (name, root) in
        [("zipline/base/compiled", "compiled"), ("oss/base/production", "production")]
    {
        let from = project().join("fixtures").join(name);
        let one = Site::of(name, &from, root);
        let (folder, first) = one.render();
        let (again, _) = one.render();
        for file in files(folder.path()) {
            let below = file.strip_prefix(folder.path()).unwrap();
            assert_eq!(fs::read(&file).unwrap(), fs::read(again.path().join(below)).unwrap());
        }
        // The same files, committed from the last to the first.
        let repo = Repo::new();
        for file in files(&from).into_iter().rev() {
            let path = Path::new(root).join(file.strip_prefix(&from).unwrap());
            repo.write(path.to_str().unwrap(), fs::read(&file).unwrap());
            repo.commit("one more");
        }
        repo.write("chronon-plan.toml", settings_of(root, ""));
        repo.commit("settings");
        let other = Site { name: name.to_owned(), repo, root };
        let mut second = other.render().1;
        assert_ne!(first.commit, second.commit);
        second.commit.clone_from(&first.commit);
        second.files.clone_from(&first.files);
        second.digest.clone_from(&first.digest);
        assert_eq!(first, second);
        assert_eq!(built(&other, "").manifest.dags, first.dags);
    }
}

#[test]
fn what_is_published_already_is_no_change() {
    for site in sites() {
        let head = built(&site, "").manifest;
        let same = schedule::change(Some(&head), None, &head, "gs://dags", &[]);
        assert!(same.is_empty() && same.unchanged == head.dags.len(), "{}", site.name);
        let all = schedule::change(None, None, &head, "gs://dags", &[]);
        assert_eq!(all.dags.len(), head.dags.len());
        // Fingerprints say the same as the comparison.
        let prints = schedule::fingerprints(&head);
        let told = all.dags.iter().map(|it| (it.dag.clone(), it.fingerprint.clone().unwrap()));
        assert_eq!(prints, told.collect::<BTreeMap<_, _>>());
    }
}

#[test]
fn every_task_waits_for_what_exists_and_never_for_itself() {
    for site in sites() {
        let dags = built(&site, "").manifest.dags;
        for (id, dag) in &dags {
            let mut open: BTreeSet<&String> = dag.tasks.keys().collect();
            for (name, task) in &dag.tasks {
                let place = format!("{}: {id}.{name}", site.name);
                assert!(task.after.is_sorted(), "{place}");
                assert!(task.after.iter().all(|it| dag.tasks.contains_key(it)), "{place}");
                let Work::External { dag: other, task, schedule, .. } = &task.work else {
                    continue;
                };
                let other = &dags[other];
                assert_eq!(other.schedule.as_ref(), Some(schedule), "{place}");
                assert!(matches!(other.tasks[task].work, Work::Job { .. }), "{place}");
            }
            // Whoever waits for nothing that is open is done; a cycle would never be.
            while !open.is_empty() {
                let is_free =
                    |it: &&&String| !dag.tasks[**it].after.iter().any(|it| open.contains(it));
                let free: Vec<&String> = open.iter().filter(is_free).copied().collect();
                assert!(!free.is_empty(), "{}: {id} waits in a circle: {open:?}", site.name);
                for it in &free {
                    open.remove(it);
                }
            }
        }
    }
}

/// The tasks that run a mode of a config, by both.
fn tasks_of(manifest: &Manifest) -> BTreeMap<(String, String), Vec<Vec<String>>> {
    let mut tasks: BTreeMap<(String, String), Vec<Vec<String>>> = BTreeMap::new();
    for dag in manifest.dags.values() {
        for task in dag.tasks.values() {
            if let Work::Job { config, mode, argv, .. }
            | Work::KeepAlive { config, mode, argv, .. } = &task.work
            {
                let key = (config.to_string(), mode.clone());
                tasks.entry(key).or_default().push(argv.clone());
            }
        }
        for (config, it) in &dag.configs {
            let key = (config.clone(), "metadata-upload".to_owned());
            tasks.entry(key).or_default().push(it.argv.clone());
        }
    }
    tasks
}

#[test]
fn a_task_runs_what_an_apply_of_that_day_would() {
    for site in bases() {
        let manifest = site.render().1;
        let tasks = tasks_of(&manifest);
        let mut args: Vec<String> =
            ["plan", "--no-state", "--format", "json", "--base", "HEAD", "--as-of", "2026-11-22"]
                .map(str::to_owned)
                .to_vec();
        for (config, mode) in tasks.keys() {
            args.extend(["--force".to_owned(), format!("{config}#{mode}")]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let plan: Value = serde_json::from_str(&run(site.repo.path(), &args).ok()).unwrap();
        let steps: BTreeMap<&str, &Value> = plan["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["id"].as_str().unwrap(), it))
            .collect();
        for ((config, mode), argvs) in &tasks {
            assert_eq!(argvs.len(), 1, "{config}#{mode} runs once");
            let Some(step) = steps.get(format!("{config}#{mode}").as_str()) else {
                panic!("{}: no step {config}#{mode}", site.name);
            };
            let words = |it: &Value| it.as_str().unwrap().to_owned();
            let expected: Vec<String> =
                step["argv"].as_array().unwrap().iter().map(words).collect();
            let start = step["range"]["start"].as_str().unwrap_or_default();
            let filled: Vec<String> = argvs[0]
                .iter()
                .map(|it| it.replace("{start_ds}", start).replace("{end_ds}", "2026-11-21"))
                .map(|it| it.replace("{ds}", "2026-11-21"))
                .collect();
            // What a plan knows and the clock does not: how old the stream is, and from when on a
            // join fills what it lacks, which its config says.
            let plain = |it: &String| {
                !it.ends_with("-savepoint")
                    && !["--force-overwrite", "--run-first-hole"].contains(&it.as_str())
                    && (!it.starts_with("--start-ds=")
                        || argvs[0].iter().any(|it| it.contains("{start_ds}")))
            };
            let expected: Vec<&String> = expected.iter().filter(|it| plain(it)).collect();
            // A query without partitions writes all of its table: an apply names no day.
            let whole = |it: &String| step["range"].is_null() && it.starts_with("--end-ds=");
            let filled: Vec<&String> = filled.iter().filter(|it| plain(it) && !whole(it)).collect();
            assert_eq!(filled, expected, "{}: {config}#{mode}", site.name);
        }
    }
}

#[test]
fn every_config_has_the_tasks_of_what_it_keeps_and_no_others() {
    for site in bases() {
        let repository = Repository::open(site.repo.path()).unwrap();
        let head = repository.revision("HEAD").unwrap();
        let (root, extent) = (site.root, Extent::Facts);
        let sides = Sides { base: &head, head: &head, root, dialect: None, extent };
        let pair = source::catalogs(&repository, &sides, &Cache::off()).unwrap();
        let lineage = Lineage::of(&pair.head);
        let mut expected = BTreeSet::new();
        for (index, config) in pair.head.configs.iter().enumerate() {
            for resource in resources(&pair.head, &lineage, index) {
                let modes =
                    chronon_plan::plan::modes::of(resource, config.address.kind, pair.head.dialect);
                expected.extend(modes.map(|it| (config.address.to_string(), it.name.to_owned())));
            }
        }
        if site.root == "production" {
            // Nothing runs it there without a command of one's own.
            expected.retain(|it| it.1 != "upload-to-kv");
        }
        let found: BTreeSet<(String, String)> =
            tasks_of(&built(&site, "").manifest).into_keys().collect();
        let never = |it: &(String, String)| {
            let config = pair.head.get(&it.0.parse().unwrap()).unwrap();
            let facts = &config.facts;
            [&facts.offline_schedule, &facts.online_schedule]
                .iter()
                .any(|it| it.as_deref() == Some("@never"))
        };
        let missing: Vec<_> = expected.difference(&found).filter(|it| !never(it)).collect();
        assert_eq!(missing, [] as [&(String, String); 0], "{}", site.name);
        let surplus: Vec<_> = found.difference(&expected).collect();
        assert_eq!(surplus, [] as [&(String, String); 0], "{}", site.name);
    }
}

#[test]
fn what_many_read_is_waited_for_once_in_a_dag() {
    for site in sites() {
        for (id, dag) in &built(&site, "").manifest.dags {
            let mut known: BTreeSet<String> = BTreeSet::new();
            for (name, task) in &dag.tasks {
                let mut work = task.work.clone();
                match &mut work {
                    // The first day and the file that the CLI is shown are those of one of many.
                    Work::Partition { first, conf, argv, .. } => {
                        (*first, *conf, *argv) = (None, String::new(), Vec::new());
                    }
                    Work::External { first, .. } => *first = None,
                    _ => continue,
                }
                let waits = serde_json::to_string(&work).unwrap();
                assert!(known.insert(waits), "{}: {id}.{name} waits twice", site.name);
                let wanted = dag.tasks.values().any(|it| it.after.contains(name));
                assert!(wanted, "{}: nobody needs {id}.{name}", site.name);
            }
        }
    }
}

/// Whether a config writes a table itself, as a join does that starts from its own logs.
fn own(config: &Config, table: &str) -> bool {
    config.output_table().is_some_and(|own| table.starts_with(own))
}

#[test]
fn every_table_that_nobody_writes_is_waited_for() {
    for site in sites() {
        let repository = Repository::open(site.repo.path()).unwrap();
        let head = repository.revision("HEAD").unwrap();
        let (root, extent) = (site.root, Extent::Facts);
        let sides = Sides { base: &head, head: &head, root, dialect: None, extent };
        let catalog = source::catalogs(&repository, &sides, &Cache::off()).unwrap().head;
        let lineage = Lineage::of(&catalog);
        let manifest = built(&site, "").manifest;
        for dag in manifest.dags.values() {
            for task in dag.tasks.values() {
                let Work::Job { config, mode, .. } = &task.work else { continue };
                if !["backfill", "upload"].contains(&mode.as_str()) {
                    continue;
                }
                let config = catalog.get(config).unwrap();
                let waited: BTreeSet<&str> = task
                    .after
                    .iter()
                    .filter_map(|it| match &dag.tasks[it].work {
                        Work::Partition { table, .. } => Some(table.as_str()),
                        _ => None,
                    })
                    .collect();
                let index = catalog.index_of(&config.address).unwrap();
                for (at, read) in config.facts.reads.iter().enumerate() {
                    let part = read.part.map(|it| config.facts.parts[it as usize].role);
                    let outside = read.inside.is_none()
                        && part != Some(PartRole::Label)
                        && ![Role::Sql, Role::Training, Role::KeyFilter].contains(&read.role)
                        && !lineage.upstream(index).iter().any(|it| it.read == Some(at))
                        && !read.table.contains("{{")
                        && !read.table.is_empty()
                        && !own(config, &read.table);
                    let what = format!("{}: {} reads {}", site.name, config.address, read.table);
                    assert!(!outside || waited.contains(read.table.as_str()), "{what}: {waited:?}");
                }
            }
        }
    }
}

/// What only jobs may see: everything of this kind in the fixtures.
const SECRETS: [&str; 5] = ["hunter2", "polyphony", "OnlineApi", "masterConfig", "shuffle"];

#[test]
fn no_value_of_an_environment_or_of_a_cluster_is_published_readable() {
    for site in bases() {
        let (folder, _) = site.render();
        for file in files(folder.path()) {
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            let shown = SECRETS.iter().find(|it| text.contains(**it));
            assert_eq!(shown, None, "{}: {}", site.name, file.display());
        }
        for args in [
            &["plan", "--no-state", "--base", "HEAD"][..],
            &["airflow", "diff", "--no-state"],
            &["airflow", "diff", "--no-state", "--format", "json"],
        ] {
            let text = run(site.repo.path(), args).ok();
            assert_eq!(SECRETS.iter().find(|it| text.contains(**it)), None, "{text}");
        }
    }
}

/// The DAGs whose fingerprints two manifests do not share.
fn moved(one: &Manifest, other: &Manifest) -> BTreeSet<String> {
    let [one, other] = [one, other].map(schedule::fingerprints);
    let names = one.keys().chain(other.keys());
    names.filter(|it| one.get(*it) != other.get(*it)).cloned().collect()
}

#[test]
fn a_fingerprint_moves_with_what_is_of_its_dag_and_with_nothing_else() {
    let site = bases().remove(0);
    let base = built(&site, "").manifest;
    let dags = |fits: &dyn Fn(&schedule::spec::Dag) -> bool| -> BTreeSet<String> {
        base.dags.iter().filter(|it| fits(it.1)).map(|it| it.0.clone()).collect()
    };
    let runs = |dag: &schedule::spec::Dag, modes: &[&str]| {
        let job = |it: &schedule::spec::Task| matches!(&it.work, Work::Job { mode, .. } if modes.contains(&mode.as_str()));
        dag.tasks.values().any(job) || dag.modes.iter().any(|it| modes.contains(&it.as_str()))
    };
    let waits = |dag: &schedule::spec::Dag| {
        let kinds = |it: &schedule::spec::Task| {
            matches!(it.work, Work::Partition { .. } | Work::External { .. })
        };
        dag.tasks.values().any(kinds)
    };
    let publishes = |dag: &schedule::spec::Dag| {
        dag.tasks.values().any(|it| matches!(it.work, Work::Publish { .. }))
    };
    let of_team = |dag: &schedule::spec::Dag| dag.team.as_deref() == Some("listening");
    let all = |_: &schedule::spec::Dag| true;
    let rows: [(&str, BTreeSet<String>); 7] = [
        ("[team.nobody]\nqueue = \"q\"\n", BTreeSet::new()),
        ("[team.listening]\nqueue = \"q\"\n", dags(&of_team)),
        ("[team.listening]\nconcurrency = 3\n", dags(&of_team)),
        (
            "[env.prod.airflow]\nsensor = \"command\"\nsensor_command = [\"check\", \"{table}\"]\n",
            dags(&waits),
        ),
        ("[env.prod.airflow]\npublish_metrics = [\"told\", \"{table}\"]\n", dags(&publishes)),
        ("[env.prod.mode.upload]\ncompute = \"ephemeral\"\n", dags(&|dag| runs(dag, &["upload"]))),
        ("[env.prod.airflow]\nbreaker_days = 9\n", dags(&all)),
    ];
    for (more, expected) in rows {
        let found = moved(&base, &built(&site, more).manifest);
        assert_eq!(found, expected, "{more}");
    }
    assert_eq!(
        moved(&base, &Manifest { commit: "another".to_owned(), ..base.clone() }),
        BTreeSet::new()
    );
}

#[test]
fn every_change_of_a_fixture_moves_exactly_the_dags_that_a_plan_tells() {
    for site in changed() {
        let head = built(&site, "").manifest;
        site.repo.git(&["checkout", "-q", "--detach", "HEAD~1"]);
        let base = built(&site, "").manifest;
        let told = schedule::change(Some(&base), Some(&base), &head, "gs://dags", &[]);
        let dags: BTreeSet<String> = told.dags.iter().map(|it| it.dag.clone()).collect();
        assert_eq!(dags, moved(&base, &head), "{}", site.name);
        for dag in &told.dags {
            let whole = dag.settings.len() + dag.tasks.len();
            assert!(whole > 0, "{}: nothing is told of {}", site.name, dag.dag);
        }
    }
}

#[test]
fn what_is_packed_is_unpacked_byte_by_byte() {
    for site in bases() {
        let (folder, manifest) = site.render();
        let read = |below: &str| fs::read(folder.path().join("chronon_files").join(below)).unwrap();
        let hash = |bytes: &[u8]| chronon_plan::model::name::hex_of(&Sha256::digest(bytes));
        let index = read(&format!("{}.json", manifest.files));
        assert_eq!(hash(&index), manifest.files);
        let index: schedule::spec::Index = serde_json::from_slice(&index).unwrap();
        let pack = read(&format!("{}.pack", index.pack));
        assert_eq!(hash(&pack), index.pack);
        let mut end = 0;
        for (path, (start, length, digest, _)) in &index.files {
            // One after another, nothing between them.
            assert_eq!(*start, end);
            end = start + length;
            let bytes = &pack[usize::try_from(*start).unwrap()..usize::try_from(end).unwrap()];
            let mut content = Vec::new();
            ZlibDecoder::new(bytes).read_to_end(&mut content).unwrap();
            assert_eq!(&hash(&content), digest);
            assert_eq!(content, fs::read(site.repo.path().join(path)).unwrap(), "{path}");
        }
        assert_eq!(end, pack.len() as u64);
        let jobs = manifest.dags.values().flat_map(|it| it.tasks.values());
        for task in jobs {
            if let Work::Job { conf, .. } | Work::KeepAlive { conf, .. } = &task.work {
                assert!(index.files.contains_key(conf) && index.jobs.contains_key(conf), "{conf}");
            }
        }
        assert!(index.shared.iter().all(|it| index.files.contains_key(it)));
    }
}

/// A manifest as people compare it: without what a commit alone decides.
fn shown(mut manifest: Manifest) -> String {
    for text in [&mut manifest.commit, &mut manifest.files, &mut manifest.digest] {
        text.clear();
    }
    format!(
        "{}\n",
        serde_json::to_string_pretty(&serde_json::to_value(&manifest).unwrap()).unwrap()
    )
}

#[test]
fn manifests_are_as_people_have_read_them() {
    for site in bases() {
        let file = project().join("fixtures/schedules").join(&site.name).join("chronon_dags.json");
        golden(&file, &shown(site.render().1));
    }
}
