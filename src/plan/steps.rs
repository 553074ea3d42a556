//! Needs to steps: one per mode, with reasons, days and command.

use std::collections::BTreeSet;

use super::Inputs;
use super::PlanError;
use super::argv::Call;
use super::argv::Savepoint;
use super::contract::Because;
use super::contract::Cause;
use super::contract::Range;
use super::contract::Rewrite;
use super::contract::Scope;
use super::contract::Step;
use super::contract::Trigger;
use super::modes;
use super::modes::Dates;
use super::modes::Mode;
use super::needed::Need;
use super::needed::Needs;
use super::needed::View;
use super::range;
use super::warning::Code;
use crate::diff::ChangeKind;
use crate::impact::FieldVerdict;
use crate::impact::rules::Notice;
use crate::model::catalog::Config;
use crate::model::lineage::EdgeKind;
use crate::model::name::Address;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::model::name::Resource;

/// Something that making steps found out and a warning tells.
pub(super) struct Note {
    pub(super) code: Code,
    pub(super) config: Address,
    pub(super) field: Option<String>,
    pub(super) text: String,
}

/// The steps, not yet in order.
pub(super) struct Built {
    pub(super) steps: Vec<Step>,
    pub(super) notes: Vec<Note>,
}

pub(super) struct Builder<'a> {
    inputs: &'a Inputs<'a>,
    base: View<'a>,
    head: View<'a>,
    needs: &'a Needs,
    steps: Vec<Step>,
    notes: Vec<Note>,
}

/// What stands by hand in dialect OSS, whose CLI leaves a running job alone (reference §4.2).
const STOP_FIRST: &str = "stop the running job first: run.py leaves a job of the same name running";

/// What stands by hand where jobs are commands of one's own.
const NO_COMMAND: &str =
    "no command is set for this mode: set `env.*.command` or `env.*.mode.*.command`";

/// What stands by hand in dialect OSS, which has no such mode (reference §4.1).
const NO_KV_UPLOAD: &str =
    "load the upload into the KV store yourself, or set `kv_upload` of the env to the command";

impl<'a> Builder<'a> {
    pub(super) fn new(
        inputs: &'a Inputs<'a>,
        base: View<'a>,
        head: View<'a>,
        needs: &'a Needs,
    ) -> Self {
        Self { inputs, base, head, needs, steps: Vec::new(), notes: Vec::new() }
    }

    /// Adds the steps of every need, then those that are forced.
    pub(super) fn add_all(&mut self) -> Result<(), PlanError> {
        let needs = self.needs;
        for ((address, resource), need) in &needs.needs {
            for mode in modes::of(*resource, address.kind, self.head.catalog.dialect) {
                self.add(address, mode, need);
            }
        }
        for step in &self.inputs.options.force {
            self.force(step)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Built {
        Built { steps: self.steps, notes: self.notes }
    }

    fn force(&mut self, id: &str) -> Result<(), PlanError> {
        if self.steps.iter().any(|step| step.id == id) {
            return Ok(());
        }
        let dialect = self.head.catalog.dialect;
        let address = id.rsplit_once('#').and_then(|split| split.0.parse::<Address>().ok());
        let resources = address.iter().flat_map(|address| self.head.resources(address));
        let kind = address.as_ref().map_or(ConfigType::Team, |address| address.kind);
        let all: Vec<&'static Mode> =
            resources.flat_map(|it| modes::of(it, kind, dialect)).collect();
        let named =
            |mode: &&&Mode| address.as_ref().is_some_and(|it| format!("{it}#{}", mode.name) == id);
        let (Some(address), Some(mode)) = (&address, all.iter().find(named)) else {
            let name = |it: &Address| {
                all.iter().map(|mode| format!("{it}#{}", mode.name)).collect::<Vec<_>>()
            };
            let known = address.iter().flat_map(name);
            return Err(PlanError::UnknownStep { step: id.to_owned(), known: known.collect() });
        };
        let need = Need {
            cause: Cause::Forced,
            scope: Scope::Change,
            own: false,
            begun: false,
            upstream: Vec::new(),
        };
        self.add(address, mode, &need);
        Ok(())
    }

    fn add(&mut self, address: &Address, mode: &'static Mode, need: &Need) {
        let Some(index) = self.head.index(address) else { return };
        let config = self.head.config(index);
        let newest = self.inputs.newest();
        let dated = mode.dates == Dates::Range;
        let range = range::range(self.head, index, newest, self.inputs.settings).filter(|_| dated);
        let rewrite = dated.then(|| self.rewrite(address, need, range.as_ref()));
        if let Some(range) = &range
            && !self.has_days(address, range)
        {
            return;
        }
        let dialect = self.head.catalog.dialect;
        let call = Call {
            dialect,
            settings: self.inputs.settings,
            mode,
            config,
            newest,
            range: range.as_ref(),
            rewrite,
            savepoint: self.savepoint(address, need),
            earlier: self.starts_earlier(address),
        };
        let argv = call.argv();
        let redeployed = mode.resource == Resource::Stream && need.cause != Cause::New;
        let own = self.inputs.settings.own_commands;
        let manual = match (&argv, dialect) {
            (None, _) if own => Some(NO_COMMAND.to_owned()),
            (None, _) => Some(NO_KV_UPLOAD.to_owned()),
            (Some(_), Dialect::Oss) if redeployed && !own => Some(STOP_FIRST.to_owned()),
            (Some(_), _) => None,
        };
        self.check_path(address, &config.path);
        let scheduled =
            mode.resource == Resource::Consistency && !self.inputs.settings.applies_consistency;
        self.steps.push(Step {
            id: format!("{address}#{}", mode.name),
            config: address.clone(),
            path: config.path.clone(),
            blob: config.blob.to_string(),
            mode: mode.name.to_owned(),
            resource: mode.resource.name().to_owned(),
            cause: need.cause,
            scope: need.scope,
            trigger: if scheduled { Trigger::Schedule } else { Trigger::Apply },
            because: self.because(address, mode.resource, need),
            after: Vec::new(),
            range,
            rewrite,
            argv: argv.unwrap_or_default(),
            manual,
        });
    }

    /// Whether the table starts on an earlier day than it did.
    fn starts_earlier(&self, address: &Address) -> bool {
        let start = |config: Option<&Config>| config?.facts.start;
        let (old, new) = (start(self.before(address)), start(self.after(address)));
        matches!((old, new), (Some(old), Some(new)) if new < old)
    }

    /// The config that the table was applied from.
    fn before(&self, address: &Address) -> Option<&'a Config> {
        let earlier = self.inputs.earlier(address, Resource::Table).map(|it| &it.config);
        earlier.or_else(|| Some(self.base.config(self.base.index(address)?)))
    }

    fn after(&self, address: &Address) -> Option<&'a Config> {
        Some(self.head.config(self.head.index(address)?))
    }

    /// Whether there is a day to compute; notes where not, or where the first is unknown.
    fn has_days(&mut self, address: &Address, range: &Range) -> bool {
        let mut note = |code, text: String| {
            self.notes.push(Note { code, config: address.clone(), field: None, text });
        };
        match (range.start, range.days) {
            (None, _) => {
                let setting = format!("env.{}.backfill.start", self.inputs.env);
                note(
                    Code::NoStartDate,
                    format!("nothing says where the backfill starts: set `{setting}`"),
                );
                true
            }
            (Some(start), Some(0)) => {
                let end = range.end;
                note(
                    Code::EmptyRange,
                    format!("starts on {start}, after {end}: nothing to compute yet"),
                );
                false
            }
            (Some(_), _) => true,
        }
    }

    fn check_path(&mut self, address: &Address, path: &str) {
        let noted = |note: &Note| note.code == Code::PathNotRunnable && note.config == *address;
        if path.contains(char::is_whitespace) && !self.notes.iter().any(noted) {
            let text = "its path has white space in it, and the CLI splits its commands there";
            let (code, text) = (Code::PathNotRunnable, text.to_owned());
            self.notes.push(Note { code, config: address.clone(), field: None, text });
        }
    }

    /// The verdicts of the fields that count for a resource.
    fn hits(&self, address: &Address, resource: Resource) -> Vec<(String, &'a FieldVerdict)> {
        let change = self.inputs.change_of(address, resource);
        let Some((change, verdict)) = change else { return Vec::new() };
        let both = change.fields.iter().zip(&verdict.fields);
        let hits = both.filter(|it| it.1.counts.contains_key(&resource));
        hits.map(|(field, verdict)| (field.path.to_string(), verdict)).collect()
    }

    /// What the backfill does to partitions that exist; the worst field decides.
    fn rewrite(&mut self, address: &Address, need: &Need, range: Option<&Range>) -> Rewrite {
        if need.cause == Cause::New || self.has_moved(address) {
            return Rewrite::Fill;
        }
        let dialect = self.head.catalog.dialect;
        if range.is_none() || (dialect == Dialect::Zip && address.kind != ConfigType::Join) {
            return Rewrite::Overwrite;
        }
        if need.cause == Cause::Forced {
            // Nothing changed: somebody wants holes filled.
            return Rewrite::Fill;
        }
        let hits = if need.own { self.hits(address, Resource::Table) } else { Vec::new() };
        let join = address.kind == ConfigType::Join;
        let mut worst = Rewrite::Fill;
        let mut told = Vec::new();
        for (field, verdict) in &hits {
            let rewrite = match verdict.notice() {
                Notice::Extends => Rewrite::Fill,
                Notice::Sees if join => Rewrite::Auto,
                Notice::SeesInZip if join && dialect == Dialect::Zip => Rewrite::Auto,
                Notice::Moot | Notice::Sees | Notice::SeesInZip | Notice::Blind => {
                    Rewrite::ArchiveFirst
                }
            };
            worst = worst.max(rewrite);
            if rewrite == Rewrite::ArchiveFirst {
                let text = verdict.counts.get(&Resource::Table).copied().unwrap_or_default();
                told.push((Some(field.clone()), text.to_owned()));
            }
        }
        let unseen =
            |it: &&Address| !self.is_seen(address, it, need) && !self.is_newly_read(address, it);
        for upstream in need.upstream.iter().filter(unseen) {
            told.push((None, format!("it reads the table of {upstream}, which changes")));
        }
        if told.is_empty() && hits.is_empty() {
            told.push((None, "nothing in the config says what changed".to_owned()));
        }
        if told.is_empty() {
            return worst;
        }
        self.note_history(address, &told);
        Rewrite::ArchiveFirst
    }

    /// Whether the config writes to another table than it did, where nothing stands yet.
    fn has_moved(&self, address: &Address) -> bool {
        let table = |config: Option<&'a Config>| config?.output_table();
        let (before, after) = (table(self.before(address)), table(self.after(address)));
        before.is_some_and(|before| Some(before) != after)
    }

    /// Whether the config reads this producer's table from now on: its own field says so, and
    /// counts by its own rule.
    fn is_newly_read(&self, address: &Address, producer: &Address) -> bool {
        let written = self.after(producer).and_then(Config::output_table);
        let (Some(table), Some(before)) = (written, self.before(address)) else { return false };
        let before = &before.facts;
        let read = before.reads.iter().any(|read| read.table.eq_ignore_ascii_case(table));
        !read && !before.parents.iter().any(|parent| **parent == *producer.name)
    }

    /// Whether a join's hash covers a change of a table that it reads: it does where the join is
    /// chained on it, and so embeds the very definition that changed.
    fn is_seen(&self, address: &Address, upstream: &Address, need: &Need) -> bool {
        let (Some(index), Some(producer)) = (self.head.index(address), self.head.index(upstream))
        else {
            return false;
        };
        let edges = self.head.lineage.upstream(index).iter();
        let chained = edges
            .filter(|edge| edge.upstream == producer && edge.kind.reads_table())
            .all(|edge| edge.kind == EdgeKind::Chains);
        let changed = self.inputs.change_of(upstream, Resource::Table);
        let changes = changed.is_some_and(|it| it.1.counts_for(Resource::Table));
        // It changed in an earlier apply, which did not get to this join: the join's own copy tells.
        let key = (upstream.clone(), Resource::Table);
        let applied = self.inputs.ledger.and_then(|ledger| ledger.applied.get(&key));
        let caught_up =
            need.own && applied.is_some_and(|it| it.blob == self.head.config(producer).blob);
        address.kind == ConfigType::Join && chained && (changes || caught_up)
    }

    /// One warning for a table whose history stays wrong, with every reason.
    fn note_history(&mut self, address: &Address, told: &[(Option<String>, String)]) {
        let table = self.head.index(address).and_then(|at| self.head.config(at).output_table());
        let mut reasons: Vec<&str> = Vec::new();
        for (_, why) in told {
            if !reasons.contains(&why.as_str()) {
                reasons.push(why);
            }
        }
        let text = format!(
            "archive or drop `{}` first, or history stays as it is: the job fills only missing partitions and cannot see the change: {}",
            table.unwrap_or_default(),
            reasons.join("; ")
        );
        let (code, config) = (Code::HistoryNotRewritten, address.clone());
        let field = told.iter().find_map(|it| it.0.clone());
        self.notes.push(Note { code, config, field, text });
    }

    /// A streaming job goes on from its savepoint where only its surroundings changed.
    fn savepoint(&self, address: &Address, need: &Need) -> Savepoint {
        let hits = self.hits(address, Resource::Stream);
        let surroundings = |verdict: &FieldVerdict| {
            verdict.rule.is_some_and(|rule| rule.counts == [Resource::Stream])
        };
        let kept = need.cause == Cause::Forced
            || (need.cause != Cause::New
                && !hits.is_empty()
                && hits.iter().all(|it| surroundings(it.1)));
        if kept { Savepoint::Latest } else { Savepoint::None }
    }

    fn because(&self, address: &Address, resource: Resource, need: &Need) -> Vec<Because> {
        let say = |text: String| Because { field: None, text, upstream: None };
        let mut because = Vec::new();
        match need.cause {
            Cause::New => because.push(say(self.why_new(address, resource))),
            Cause::Forced => because.push(say("asked for with --force".to_owned())),
            Cause::Changed | Cause::Upstream => {}
        }
        if need.own || need.cause == Cause::New {
            let created = |field: &str| need.own || creates(field);
            let hits = self.hits(address, resource).into_iter().filter(|it| created(&it.0));
            let change = self.inputs.change_of(address, resource);
            let modified = change.is_some_and(|it| it.0.kind == ChangeKind::Modified);
            because.extend(hits.filter(|_| modified).map(|(field, verdict)| Because {
                text: verdict.counts.get(&resource).copied().unwrap_or_default().to_owned(),
                field: Some(field),
                upstream: None,
            }));
        }
        let upstream = if need.cause == Cause::New { &[][..] } else { &need.upstream };
        because.extend(upstream.iter().map(|upstream| {
            let newly = self.is_newly_read(address, upstream);
            let text = if newly {
                "reads its table from now on"
            } else {
                "reads its table, which changes"
            };
            Because { field: None, text: text.to_owned(), upstream: Some(upstream.clone()) }
        }));
        if need.begun {
            because.push(say("a job was started on it and not seen to end well".to_owned()));
        }
        if because.is_empty() && need.scope == Scope::Pending {
            because.push(say("was merged before and never applied".to_owned()));
        }
        if because.is_empty() {
            because.push(say("no longer reads a table that it was computed from".to_owned()));
        }
        because
    }

    fn why_new(&self, address: &Address, resource: Resource) -> String {
        let word = address.kind.word();
        match self.inputs.change(address).map(|it| (it.0.kind, it.0.from.as_ref())) {
            Some((ChangeKind::VersionBump, Some(from))) => format!("new version of {from}"),
            Some((ChangeKind::Renamed, Some(from))) => format!("new name of {from}"),
            Some((ChangeKind::Added, _)) => format!("new {word}"),
            Some((ChangeKind::Modified, _)) => match resource {
                Resource::Table => "its table is new".to_owned(),
                Resource::Stream => "its streaming job is new".to_owned(),
                Resource::Kv | Resource::Metadata => "it is served online from now on".to_owned(),
                Resource::Consistency => "its consistency check is on from now on".to_owned(),
            },
            _ => {
                let readers = self.head.index(address).into_iter();
                let readers = readers.flat_map(|index| self.head.lineage.readers(index));
                let names: BTreeSet<String> =
                    readers.map(|it| self.head.config(it.0).address.to_string()).collect();
                match names.first() {
                    Some(reader) if resource == Resource::Table => {
                        format!("{reader} reads its table from now on")
                    }
                    _ => "was never applied".to_owned(),
                }
            }
        }
    }
}

/// Fields whose change can bring a resource into being.
fn creates(field: &str) -> bool {
    [
        "online",
        "topic",
        "mutationTopic",
        "consistencyCheck",
        "check_consistency",
        "backfillStartDate",
        "offlineSchedule",
        "accuracy",
    ]
    .iter()
    .any(|name| field == *name || field.ends_with(&format!(".{name}")))
}
