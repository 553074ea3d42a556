//! From the steps of a plan to tasks that can run: commands, limits, files, secrets.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::args::ApplyArgs;
use super::failure::Failure;
use super::workspace::Workspace;
use crate::apply::engine::How;
use crate::apply::engine::Task;
use crate::apply::runner::Job;
use crate::apply::scrub;
use crate::apply::work;
use crate::model::ledger::Applied;
use crate::model::ledger::FINGERPRINT_VERSION;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::Dialect;
use crate::model::name::Resource;
use crate::plan::Desired;
use crate::plan::argv::fill;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Step;
use crate::plan::contract::Trigger;
use crate::plan::modes;
use crate::source;
use crate::source::Content;
use crate::source::Wanted;

/// How many seconds to wait before another attempt when nobody says.
const USUAL_DELAY: u32 = 10;

/// What the fingerprints of head are, by resource.
pub(super) type Prints = BTreeMap<(Address, Resource), Desired>;

/// What tasks are made from.
pub(super) struct Maker<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) ledger: &'a Ledger,
    pub(super) desired: &'a Prints,
    pub(super) args: &'a ApplyArgs,
    /// Where the commit's files lie.
    pub(super) folder: &'a Path,
    /// Where outputs go.
    pub(super) logs: &'a Path,
}

impl Maker<'_> {
    /// The tasks of these steps, in their order.
    pub(super) fn tasks(&self, steps: &[Step]) -> Result<Vec<Task>, Failure> {
        let secrets = self.secrets(steps)?;
        Ok(steps.iter().map(|step| self.task(step, &secrets)).collect())
    }

    /// What must not be shown of each config's own settings.
    fn secrets(&self, steps: &[Step]) -> Result<BTreeMap<Address, Vec<(String, String)>>, Failure> {
        let configs: BTreeSet<&Address> = steps.iter().map(|step| &step.config).collect();
        let configs: Vec<_> =
            configs.into_iter().filter_map(|it| self.workspace.pair.head.get(it)).collect();
        let wanted: Vec<Wanted> = configs
            .iter()
            .map(|it| Wanted { before: None, after: Some(Content::of(it)) })
            .collect();
        let found = source::documents(&self.workspace.repository, &wanted, |at, _, document| {
            let secrets = document.as_ref().map(scrub::secrets_of).unwrap_or_default();
            (configs[at].address.clone(), secrets)
        })?;
        Ok(found.into_iter().collect())
    }

    fn task(&self, step: &Step, secrets: &BTreeMap<Address, Vec<(String, String)>>) -> Task {
        let settings = &self.workspace.settings;
        let mode = modes::by_name(&step.mode);
        let timeout = mode.map_or(60, |mode| settings.timeout(mode));
        let resource = mode.map_or(Resource::Table, |mode| mode.resource);
        let key = (step.config.clone(), resource);
        let desired = self.desired.get(&key).map(|it| it.whole);
        let applied = self.ledger.applied.get(&key).filter(|it| !it.begun);
        let applied = applied.map(|it| it.fingerprint);
        let delay = settings.retry_delay.unwrap_or(USUAL_DELAY);
        let same = desired.is_some() && applied == desired;
        let name = step.id.replace(['/', '#'], ".");
        Task {
            id: step.id.clone(),
            after: step.after.clone(),
            how: self.how(step, desired),
            job: Job {
                step: step.id.clone(),
                mode: step.mode.clone(),
                argv: step.argv.clone(),
                path: step.path.clone(),
                name: step.config.name.to_string(),
                operation: String::new(),
                folder: self.folder.to_owned(),
                log: self.logs.join(format!("{name}.log")),
                secrets: secrets.get(&step.config).cloned().unwrap_or_default(),
                timeout: Duration::from_secs(u64::from(timeout) * 60),
                chunk_days: settings.chunk_days,
                may_be_running: resource == Resource::Stream && same,
            },
            resource: key,
            retries: mode.map_or(0, |mode| settings.retries(mode)),
            pause: Duration::from_secs(delay.into()),
            same,
        }
    }

    fn how(&self, step: &Step, desired: Option<crate::model::ledger::Fingerprint>) -> How {
        if step.trigger == Trigger::Schedule {
            return How::Scheduler;
        }
        let done = self.args.done.contains(&step.id);
        match &step.manual {
            Some(what) if !done => return How::ByHand(what.clone()),
            Some(_) if step.argv.is_empty() => return How::DoneByHand,
            _ => {}
        }
        let lineage = &self.ledger.lineage;
        // Airflow cuts them itself: all of a step is one run of a DAG.
        let settings = &self.workspace.settings;
        let chunk = settings.chunk_days.filter(|_| !settings.airflow.runs).map(i64::from);
        let mut pieces = work::pieces(lineage, desired, step, chunk);
        if self.is_own(step) {
            pieces.iter_mut().for_each(|piece| piece.own = true);
        }
        if let Some(words) = self.archive(step) {
            pieces.insert(0, work::preparation(lineage, desired, step, &words));
        }
        How::Jobs(pieces)
    }

    /// Whether the command is one of the settings though the CLI runs the others.
    fn is_own(&self, step: &Step) -> bool {
        let oss = self.workspace.pair.head.dialect == Dialect::Oss;
        self.workspace.settings.own_commands || (oss && step.mode == "upload-to-kv")
    }

    /// The command that archives the step's table, where that is for us to do.
    fn archive(&self, step: &Step) -> Option<Vec<String>> {
        let archived = self.args.archived.iter().any(|it| *it == step.config.to_string());
        let words = self.workspace.settings.archive.as_ref()?;
        if step.rewrite != Some(Rewrite::ArchiveFirst) || archived {
            return None;
        }
        let config = self.workspace.pair.head.get(&step.config)?;
        let values = [
            ("table", config.output_table().unwrap_or_default().to_owned()),
            ("conf", step.path.clone()),
            ("name", step.config.name.to_string()),
        ];
        Some(fill(words, &values))
    }

    /// What the ledger will say of every resource that the tasks bring about.
    pub(super) fn applied(&self, steps: &[Step]) -> BTreeMap<(Address, Resource), Applied> {
        let mut applied = BTreeMap::new();
        for step in steps {
            let Some(resource) = Resource::by_name(&step.resource) else { continue };
            let key = (step.config.clone(), resource);
            let range = step.range.as_ref().and_then(|it| Some((it.start?, it.end)));
            if let Some(entry) = entry(self.workspace, self.desired, &key, range) {
                applied.insert(key, entry);
            }
        }
        applied
    }
}

/// A resource of head as it stands in a ledger, without who applied it and when.
pub(super) fn entry(
    workspace: &Workspace,
    desired: &Prints,
    key: &(Address, Resource),
    range: Option<(crate::model::day::Day, crate::model::day::Day)>,
) -> Option<Applied> {
    let head = &workspace.pair.head;
    let (config, desired) = (head.get(&key.0)?, desired.get(key)?);
    Some(Applied {
        fingerprint: desired.whole,
        own: desired.own,
        upstream: desired.upstream.clone(),
        version: FINGERPRINT_VERSION,
        commit: head.commit.clone(),
        path: config.path.clone(),
        blob: config.blob,
        range,
        run: String::new(),
        job: None,
        at: String::new(),
        begun: false,
    })
}

/// Writes the files of the commit that jobs may need into a folder: everything under the root but
/// configs that no job is about; with commands of one's own, the rest of the repository too, for
/// their scripts may be there.
pub(super) fn materialise(
    workspace: &Workspace,
    steps: &[Step],
    folder: &Path,
) -> Result<(), Failure> {
    let head = &workspace.pair.head;
    let needed: BTreeSet<&str> = steps.iter().map(|step| step.path.as_str()).collect();
    let configs: BTreeSet<&str> = head.configs.iter().map(|it| it.path.as_str()).collect();
    let root = if head.root.is_empty() { String::new() } else { format!("{}/", head.root) };
    let all = workspace.settings.own_commands || head.dialect == Dialect::Oss;
    let keep = |path: &str| match path.starts_with(&root) {
        true => needed.contains(path) || !configs.contains(path),
        false => all,
    };
    source::checkout(&workspace.repository, &head.commit, folder, &keep).map_err(|error| {
        Failure::new(error).hint("free space for temporary files, or set TMPDIR to another folder")
    })
}

/// A folder for temporary files that goes when this value goes.
pub(super) struct Temporary(pub(super) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is left for the system's own cleaning.
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}
