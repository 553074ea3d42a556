//! From arguments to values: the repository, its settings, an env, two catalogs, their changes.
//!
//! # Why
//! Every command starts the same way. What they share stands here once, in the order in which it
//! happens; what is decided is decided in the layers below.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::failure::Failure;
use crate::diff;
use crate::diff::Candidate;
use crate::diff::Change;
use crate::diff::ChangeKind;
use crate::impact;
use crate::impact::Verdict;
use crate::model::catalog::Catalog;
use crate::model::facts::Extent;
use crate::model::name::Address;
use crate::model::name::CommitId;
use crate::model::name::ConfigType;
use crate::plan::OwnPrints;
use crate::plan::StaleCopy;
use crate::plan::settings;
use crate::plan::settings::EnvSettings;
use crate::plan::settings::Settings;
use crate::plan::settings::Team;
use crate::render::visible;
use crate::source;
use crate::source::Cache;
use crate::source::Content;
use crate::source::Pair;
use crate::source::Repository;
use crate::source::Revision;
use crate::source::Sides;
use crate::source::Wanted;

/// What a command was asked to look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) repo: PathBuf,
    pub(super) env: Option<String>,
    pub(super) root: Option<String>,
    pub(super) base: Option<String>,
    pub(super) head: Option<String>,
    /// The commit to compare with, where it is settled already.
    pub(super) settled: Option<Revision>,
    pub(super) settings: Option<PathBuf>,
    /// Another file of the commit to read them from, by its path in it.
    pub(super) settings_file: Option<String>,
    /// The commit whose settings hold, where that is not head.
    pub(super) settings_of: Option<CommitId>,
    pub(super) keep_going: bool,
    pub(super) cached: bool,
    /// Look at one commit alone: base is head.
    pub(super) one_commit: bool,
    /// Read every file to its end, and not only those that differ.
    pub(super) thorough: bool,
}

/// Everything that the layers below need.
pub(super) struct Workspace {
    pub(super) repository: Repository,
    pub(super) env: String,
    pub(super) settings: EnvSettings,
    /// What is set of teams, at head.
    pub(super) teams: BTreeMap<String, Team>,
    pub(super) pair: Pair,
    request: Request,
    /// What people should know before they read the answer.
    pub(super) notes: Vec<String>,
}

/// The changes between two catalogs, judged.
pub(super) struct Judged {
    pub(super) changes: Vec<(Change, Verdict)>,
    pub(super) own: OwnPrints,
    pub(super) stale_copies: Vec<StaleCopy>,
}

/// What is settled before any catalog is read: the commit, the env, its settings.
pub(super) struct Prepared {
    pub(super) repository: Repository,
    pub(super) head: Revision,
    pub(super) env: String,
    pub(super) settings: EnvSettings,
    pub(super) teams: BTreeMap<String, Team>,
    root: String,
    request: Request,
}

impl Prepared {
    /// Opens the repository and reads the settings.
    pub(super) fn of(request: &Request) -> Result<Self, Failure> {
        let repository = Repository::open(&request.repo)?;
        let head = repository.revision(request.head.as_deref().unwrap_or("HEAD"))?;
        let of = request.settings_of.as_ref().unwrap_or(&head.commit);
        let all = read_settings(&repository, request, of)?;
        let teams = all.teams.clone();
        let (env, settings) = choose_env(request, all)?;
        let root = match request.root.as_ref().or(settings.root.as_ref()) {
            Some(root) => plain_root(root, repository.top())?,
            None => find_root(&repository, &head, request)?,
        };
        let env = env.unwrap_or_else(|| usual_env(&root).to_owned());
        Ok(Self { repository, head, env, settings, teams, root, request: request.clone() })
    }

    /// The folder that lies beside the compiled files: the top of the work tree, or the repository
    /// itself where it has none.
    pub(super) fn top(&self) -> PathBuf {
        let bare = || self.repository.cache_dir();
        self.repository.top().map_or_else(bare, Path::to_owned)
    }

    /// The compiled root, from the repository's top.
    pub(super) fn root(&self) -> String {
        self.root.clone()
    }

    /// Whether the request names a base.
    pub(super) fn names_base(&self) -> bool {
        self.request.base.is_some() || self.request.settled.is_some()
    }

    /// The base that the request names, or the usual one.
    pub(super) fn base(&self) -> Result<Revision, Failure> {
        Ok(base_of(&self.repository, &self.head, &self.request)?)
    }

    /// Reads both catalogs.
    pub(super) fn read(self, base: &Revision) -> Result<Workspace, Failure> {
        let Self { repository, head, env, settings, teams, root, request } = self;
        let cache = match request.cached {
            true => Cache::in_folder(&repository.cache_dir()),
            false => Cache::off(),
        };
        let extent = if request.thorough { Extent::Whole } else { Extent::Facts };
        let sides = Sides { base, head: &head, root: &root, dialect: settings.dialect, extent };
        let mut pair = source::catalogs(&repository, &sides, &cache)?;
        if !pair.is_sound() {
            if !request.keep_going {
                let base = if request.one_commit { &[][..] } else { &pair.base.malformed };
                return Err(Failure::malformed("head", &pair.head.malformed, base));
            }
            pair.leave_out_malformed();
        }
        let notes = Vec::new();
        let mut workspace = Workspace { repository, env, settings, teams, pair, request, notes };
        let request = workspace.request.clone();
        workspace.note_missing_root();
        workspace.note_uncommitted(&request)?;
        workspace.note_merge_base(&request)?;
        Ok(workspace)
    }
}

fn base_of(
    repository: &Repository,
    head: &Revision,
    request: &Request,
) -> Result<Revision, source::SourceError> {
    match (&request.settled, &request.base) {
        _ if request.one_commit => Ok(head.clone()),
        (Some(settled), _) => Ok(settled.clone()),
        (None, Some(base)) => repository.base(base, head),
        (None, None) => repository.default_base(head),
    }
}

impl Workspace {
    /// Opens the repository and reads both catalogs.
    pub(super) fn open(request: &Request) -> Result<Self, Failure> {
        let prepared = Prepared::of(request)?;
        let base = prepared.base()?;
        prepared.read(&base)
    }

    /// The settings of base: of the env, where they have it, and of teams.
    pub(super) fn settings_of_base(
        &self,
    ) -> Result<(EnvSettings, BTreeMap<String, Team>), Failure> {
        let all = read_settings(&self.repository, &self.request, &self.pair.base.commit)?;
        let teams = all.teams.clone();
        let env = all.envs.get(&self.env).cloned().unwrap_or_default();
        Ok((env, teams))
    }

    fn note_uncommitted(&mut self, request: &Request) -> Result<(), Failure> {
        if request.head.is_some() {
            return Ok(());
        }
        let head = &self.pair.head;
        let settings = request.settings.is_none().then_some(settings::FILE);
        let files = self.repository.uncommitted(&head.commit, &head.root, settings)?;
        if let Some(first) = files.first() {
            let many = if files.len() == 1 {
                String::new()
            } else {
                format!(" and {} more", files.len() - 1)
            };
            self.notes.push(format!(
                "the work tree differs from HEAD in {}{many}; what is committed is planned, not what lies there",
                visible(first)
            ));
        }
        Ok(())
    }

    /// A root that one side lacks may be one that moved.
    fn note_missing_root(&mut self) {
        let Pair { base, head } = &self.pair;
        for (side, reads) in
            [(base, "everything reads as new"), (head, "everything reads as removed")]
        {
            if side.is_empty() {
                let (rev, root) = (visible(&side.rev), visible(&side.root));
                self.notes.push(format!("{rev} has no folder `{root}`: {reads}"));
            }
        }
    }

    fn note_merge_base(&mut self, request: &Request) -> Result<(), Failure> {
        let (base, head) = (&self.pair.base, &self.pair.head);
        if base.commit == head.commit && !request.one_commit {
            let (base, head) = (&base.rev, &head.rev);
            self.notes.push(format!(
                "{base} and {head} are the same commit; name another one to compare with, as `--base HEAD~1`"
            ));
        }
        let Some(rev) = &request.base else { return Ok(()) };
        let tip = self.repository.revision(rev)?;
        if tip.commit != self.pair.base.commit && !request.one_commit {
            self.notes.push(format!(
                "{} has commits that {} lacks; compared with where they parted, {}",
                visible(rev),
                visible(&self.pair.head.rev),
                self.pair.base.commit.short()
            ));
        }
        Ok(())
    }

    /// Compares the two catalogs and judges every change.
    pub(super) fn judge(&self) -> Result<Judged, Failure> {
        let mut candidates = diff::candidates(&self.pair.base, &self.pair.head);
        self.find_renames(&mut candidates)?;
        let wanted: Vec<Wanted> = candidates.iter().map(|it| self.wanted(it)).collect();
        let dialect = self.pair.head.dialect;
        let changes = source::documents(&self.repository, &wanted, |at, before, after| {
            let Wanted { before: old, after: new } = &wanted[at];
            let path = new.as_ref().or(old.as_ref()).map_or("", |it| &it.path);
            let change =
                diff::change(&candidates[at], path, dialect, before.as_ref(), after.as_ref());
            let kind = candidates[at].address.kind;
            let verdict = impact::judge(kind, dialect, &change, before.as_ref(), after.as_ref());
            (change, verdict)
        })?;
        // Another content that says the same is no change.
        let says_something =
            |it: &(Change, Verdict)| it.0.kind != ChangeKind::Modified || !it.0.fields.is_empty();
        let own = OwnPrints::of(&candidates, &changes);
        let changes: Vec<_> = changes.into_iter().filter(says_something).collect();
        let touched: BTreeSet<&Address> = changes.iter().map(|it| &it.0.address).collect();
        let stale_copies = self.stale_copies(Some(&touched))?;
        Ok(Judged { changes, own, stale_copies })
    }

    fn wanted(&self, candidate: &Candidate) -> Wanted {
        let content = |catalog: &Catalog, address: &Address| catalog.get(address).map(Content::of);
        let Pair { base, head } = &self.pair;
        Wanted {
            before: candidate.before.as_ref().and_then(|(address, _)| content(base, address)),
            after: candidate.after.and_then(|_| content(head, &candidate.address)),
        }
    }

    fn find_renames(&self, candidates: &mut Vec<Candidate>) -> Result<(), Failure> {
        let is = |kind: ChangeKind| candidates.iter().any(|it| it.kind == kind);
        if !is(ChangeKind::Added) || !is(ChangeKind::Removed) {
            return Ok(());
        }
        let single = |it: &&Candidate| matches!(it.kind, ChangeKind::Added | ChangeKind::Removed);
        let singles: Vec<Candidate> = candidates.iter().filter(single).cloned().collect();
        let wanted: Vec<Wanted> = singles.iter().map(|it| self.wanted(it)).collect();
        let definitions = source::documents(&self.repository, &wanted, |at, before, after| {
            let definition = diff::definition(before.or(after).as_ref()?)?;
            Some((singles[at].address.clone(), definition))
        })?;
        let definitions: BTreeMap<Address, Value> = definitions.into_iter().flatten().collect();
        diff::pair_renames(candidates, &definitions);
        candidates.sort();
        Ok(())
    }

    /// Copies of GroupBys that are not the GroupBys of head: those that the changes touch, or all.
    pub(super) fn stale_copies(
        &self,
        touched: Option<&BTreeSet<&Address>>,
    ) -> Result<Vec<StaleCopy>, Failure> {
        let head = &self.pair.head;
        let mut pairs: Vec<(&Address, &Address)> = Vec::new();
        let mut wanted: Vec<Wanted> = Vec::new();
        let group_bys = touched.map(|it| it.iter().filter(|it| it.kind == ConfigType::GroupBy));
        let group_bys: Option<BTreeSet<&str>> =
            group_bys.map(|it| it.map(|it| &*it.name).collect());
        for join in head.configs.iter().filter(|it| it.address.kind == ConfigType::Join) {
            let whole = touched.is_none_or(|it| it.contains(&join.address));
            let named = |name: &str| group_bys.as_ref().is_some_and(|it| it.contains(name));
            let parts = join.facts.parts.iter().filter(|part| !part.nested);
            for part in parts.filter(|part| whole || named(&part.name)) {
                let address = Address::new(ConfigType::GroupBy, &part.name);
                if let Some(group_by) = head.get(&address) {
                    pairs.push((&join.address, &group_by.address));
                    let (join, group_by) = (Content::of(join), Content::of(group_by));
                    wanted.push(Wanted { before: Some(join), after: Some(group_by) });
                }
            }
        }
        let stale = source::documents(&self.repository, &wanted, |at, document, original| {
            let (join, group_by) = pairs[at];
            let (document, original) = (document?, original?);
            let copies = diff::copies(head.dialect, &document, &group_by.name, &original);
            let stale = copies
                .into_iter()
                .filter(|fields| !fields.is_empty())
                .map(|fields| StaleCopy { join: join.clone(), group_by: group_by.clone(), fields });
            Some(stale.collect::<Vec<_>>())
        })?;
        let stale: BTreeSet<StaleCopy> = stale.into_iter().flatten().flatten().collect();
        Ok(stale.into_iter().collect())
    }
}

/// The settings of a commit, or of the file that was asked for.
pub(super) fn read_settings(
    repository: &Repository,
    request: &Request,
    commit: &CommitId,
) -> Result<Settings, Failure> {
    let (place, text) = match &request.settings {
        Some(path) => {
            let text = std::fs::read(path).map_err(|error| {
                Failure::new(format!("{}: {error}", path.display()))
                    .hint("name an existing file with `--settings FILE`")
            })?;
            (path.display().to_string(), Some(text))
        }
        None => {
            let name = request.settings_file.as_deref().unwrap_or(settings::FILE);
            (name.to_owned(), repository.file(commit, name)?)
        }
    };
    let Some(text) = text else { return Ok(Settings::default()) };
    let text = String::from_utf8(text).map_err(|error| {
        Failure::new(format!("{place} is not UTF-8: {}", error.utf8_error()))
            .hint("save it as UTF-8")
    })?;
    settings::read(&text).map_err(|mistakes| Failure::settings(&place, &mistakes))
}

/// The env that is meant and its settings; no name where nobody gives one.
fn choose_env(
    request: &Request,
    mut all: Settings,
) -> Result<(Option<String>, EnvSettings), Failure> {
    let place = request.settings.as_ref().map(|path| path.display().to_string());
    let place = place.as_deref().unwrap_or(settings::FILE);
    let names = all.envs.keys().cloned().collect::<Vec<_>>().join("`, `");
    let only = (all.envs.len() == 1).then(|| all.envs.keys().next().cloned()).flatten();
    let name = request.env.clone().or(all.default_env.clone()).or(only);
    match name {
        Some(name) if all.envs.is_empty() => {
            let usual = ["prod", "canary"].contains(&name.as_str()) || request.root.is_some();
            if usual {
                return Ok((Some(name), EnvSettings::default()));
            }
            Err(Failure::new(format!("there is no env `{name}`: {place} names none"))
                .hint("without settings there are `prod` and, for compiled_canary, `canary`")
                .hint(format!("add [env.NAME] to {place}, or name the root too with `--root`")))
        }
        Some(name) => match all.envs.remove(&name) {
            Some(settings) => Ok((Some(name), settings)),
            None => Err(Failure::new(format!("{place} has no env `{name}`"))
                .hint(format!("its envs are `{names}`"))),
        },
        None if all.envs.is_empty() => Ok((None, EnvSettings::default())),
        None => Err(Failure::new(format!("{place} has several envs and none was named"))
            .hint(format!("name one with `--env`: `{names}`"))
            .hint("or set `default_env`")),
    }
}

/// The env that a compiled root is of where nobody says.
pub(super) fn usual_env(root: &str) -> &'static str {
    if root.rsplit('/').next() == Some("compiled_canary") { "canary" } else { "prod" }
}

/// A root as git writes it: from the top, without empty parts and `.`.
fn plain_root(root: &str, top: Option<&Path>) -> Result<String, Failure> {
    let inside = top.and_then(|top| Path::new(root).strip_prefix(top).ok()?.to_str());
    let parts = inside.unwrap_or(root).split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    if parts.contains(&"..") {
        return Err(Failure::new(format!("the root `{root}` has `..` in it"))
            .hint("name the folder from the repository's top with `--root DIR`"));
    }
    Ok(parts.join("/"))
}

/// The one compiled root that is meant when nobody names one.
fn find_root(
    repository: &Repository,
    head: &Revision,
    request: &Request,
) -> Result<String, Failure> {
    let mut roots = repository.roots(&head.commit)?;
    if roots.is_empty() {
        // Everything was removed, perhaps.
        roots = repository.roots(&base_of(repository, head, request)?.commit)?;
    }
    let canary = |root: &String| root.rsplit('/').next() == Some("compiled_canary");
    let wants_canary = request.env.as_deref() == Some("canary");
    let fits: Vec<&String> = roots.iter().filter(|root| canary(root) == wants_canary).collect();
    match (fits.as_slice(), roots.as_slice()) {
        ([root], _) => Ok((*root).clone()),
        ([], [root]) if request.env.is_none() => Ok(root.clone()),
        ([], [_, ..]) => Err(Failure::new(format!(
            "no compiled root is that of env `{}`: there is {}",
            request.env.as_deref().unwrap_or("prod"),
            roots.join(", ")
        ))
        .hint("name the root with `--root DIR`")),
        (_, []) => Err(Failure::new(format!("commit {} has no compiled root", head.commit.short()))
            .hint("compile and commit: `zipline compile` writes `compiled/`, OSS compile.py `production/`")
            .hint("or name the folder that holds group_bys/ and joins/ with `--root DIR`")),
        _ => Err(Failure::new(format!("there are several compiled roots: {}", roots.join(", ")))
            .hint("name one with `--root DIR`")
            .hint(format!("or make each an env of its own in {}: [env.NAME] with `root`", settings::FILE))),
    }
}
