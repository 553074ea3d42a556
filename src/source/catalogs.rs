//! Commits to catalogs: which files are configs, what they say, and what is wrong with the rest.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use git2::ObjectType;
use git2::Oid;
use git2::Tree;
use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;

use super::Cache;
use super::Repository;
use super::SourceError;
use super::blobs;
use super::cache::Key;
use super::repository::Revision;
use crate::model::catalog::Catalog;
use crate::model::catalog::Config;
use crate::model::catalog::Malformed;
use crate::model::catalog::OtherFile;
use crate::model::facts;
use crate::model::facts::Extent;
use crate::model::facts::Facts;
use crate::model::name::Address;
use crate::model::name::BlobId;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;

/// What is read of two commits.
#[derive(Clone, Debug)]
pub struct Sides<'a> {
    /// What is compared with.
    pub base: &'a Revision,
    /// What is planned.
    pub head: &'a Revision,
    /// The compiled root, from the repository's top.
    pub root: &'a str,
    /// The dialect, where the settings name it.
    pub dialect: Option<Dialect>,
    /// How much of files is read that do not differ; those that do are read whole.
    pub extent: Extent,
}

/// Two catalogs of one env.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// What is compared with.
    pub base: Catalog,
    /// What is planned.
    pub head: Catalog,
}

/// Endings of files that nobody takes for a config. Names of configs have dots too, so only
/// endings that mean something else everywhere are listed.
const OTHER_ENDINGS: [&str; 16] = [
    "md", "txt", "rst", "html", "csv", "py", "pyc", "yaml", "yml", "toml", "bak", "orig", "rej",
    "swp", "log", "tmp",
];

/// Why a file is no config.
const NO_TYPE: &str = "not under a folder of a known type";
const HIDDEN_FILE: &str = "a hidden file";
const OTHER_ENDING: &str = "its ending says that it is something else";
const NO_FILE: &str = "not an ordinary file";
const TEAM_SETTINGS: &str = "the settings of all teams; each run reads them";

/// Reads the catalogs of two commits, each file once.
///
/// # Errors
/// Where a root is missing at head, or git cannot be read. Malformed files are no error here:
/// each catalog lists its own.
pub fn catalogs(
    repository: &Repository,
    sides: &Sides<'_>,
    cache: &Cache,
) -> Result<Pair, SourceError> {
    let Sides { base, head, root, dialect, extent: _ } = sides;
    let mut walker = Walker { repository, root: 0, folders: HashMap::new() };
    let head_files = walker.list(head, root)?;
    let base_files = walker.list(base, root)?;
    if head_files.is_none() && base_files.is_none() {
        let (root, commit) = ((*root).to_owned(), head.commit.clone());
        return Err(SourceError::NoRoot { root, commit });
    }
    let (base_files, head_files) = (base_files.unwrap_or_default(), head_files.unwrap_or_default());
    let read = read_facts(repository, sides, &base_files, &head_files, cache)?;
    let (mut head, configs) = assemble(head, root, &head_files, &read, (&[], &[]));
    let (mut base, _) = assemble(base, root, &base_files, &read, (&head_files, &configs));
    if [&base, &head].iter().all(|side| side.configs.is_empty() && side.malformed.is_empty()) {
        return Err(SourceError::NoConfigs { root: (*root).to_owned() });
    }
    let dialect = dialect.unwrap_or_else(|| dialect_of(root, &base, &head));
    (base.dialect, head.dialect) = (dialect, dialect);
    Ok(Pair { base, head })
}

/// A file under the root.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    /// From the repository's top.
    path: String,
    blob: BlobId,
    kind: Result<ConfigType, &'static str>,
}

/// The files of a folder, sorted by path: git keeps trees in that very order.
type Files = Arc<Vec<Arc<File>>>;

/// Lists trees, each once however many commits share it.
struct Walker<'a> {
    repository: &'a Repository,
    /// How much of a path is the root.
    root: usize,
    folders: HashMap<(Oid, String), Files>,
}

impl Walker<'_> {
    /// The files under the root; none where the commit has no such root.
    fn list(&mut self, side: &Revision, root: &str) -> Result<Option<Files>, SourceError> {
        let Some(tree) = self.repository.tree(&side.commit, root)? else { return Ok(None) };
        let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
        self.root = prefix.len();
        self.folder(&tree, prefix).map(Some)
    }

    fn folder(&mut self, tree: &Tree<'_>, prefix: String) -> Result<Files, SourceError> {
        let key = (tree.id(), prefix);
        if let Some(known) = self.folders.get(&key) {
            return Ok(Arc::clone(known));
        }
        let mut files = Vec::with_capacity(tree.len());
        for entry in tree {
            let name = String::from_utf8_lossy(entry.name_bytes());
            let path = format!("{}{name}", key.1);
            if entry.kind() == Some(ObjectType::Tree) {
                let below = self.repository.git.find_tree(entry.id())?;
                files.extend(self.folder(&below, path + "/")?.iter().cloned());
            } else {
                let ordinary = matches!(entry.filemode(), 0o100_644 | 0o100_755 | 0o100_664);
                let utf8 = std::str::from_utf8(entry.name_bytes()).is_ok();
                let kind =
                    if ordinary && utf8 { type_of(&path[self.root..]) } else { Err(NO_FILE) };
                files.push(Arc::new(File { path, blob: blob_id(entry.id()), kind }));
            }
        }
        let files = Arc::new(files);
        self.folders.insert(key, Arc::clone(&files));
        Ok(files)
    }
}

fn blob_id(oid: Oid) -> BlobId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&oid.as_bytes()[..20]);
    BlobId(bytes)
}

/// What a file is by its place and name alone.
fn type_of(path: &str) -> Result<ConfigType, &'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if path == "teams.json" {
        return Err(TEAM_SETTINGS);
    }
    let (dir, _) = path.split_once('/').ok_or(NO_TYPE)?;
    let kind = ConfigType::of_dir(dir).ok_or(NO_TYPE)?;
    let ending = name.rsplit_once('.').map_or("", |split| split.1);
    if name.starts_with('.') {
        return Err(HIDDEN_FILE);
    }
    if OTHER_ENDINGS.contains(&ending) { Err(OTHER_ENDING) } else { Ok(kind) }
}

/// What a file's bytes say: facts, or what is wrong with them.
type Reading = Result<Arc<Facts>, Defect>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Defect {
    line: usize,
    column: usize,
    what: String,
}

fn read_facts(
    repository: &Repository,
    sides: &Sides<'_>,
    base: &[Arc<File>],
    head: &[Arc<File>],
    cache: &Cache,
) -> Result<FxHashMap<Key, Reading>, SourceError> {
    let cached = cache.load();
    let changed = changed(base, head);
    let extent = |key: &Key| match sides.extent {
        Extent::Facts if !changed.contains(key) => Extent::Facts,
        _ => Extent::Whole,
    };
    let mut wanted = BTreeMap::new();
    let mut used = Vec::new();
    let mut readings: FxHashMap<Key, Reading> = HashMap::default();
    for file in base.iter().chain(head) {
        let Ok(kind) = file.kind else { continue };
        let key = (kind, file.blob);
        if readings.contains_key(&key) || wanted.contains_key(&key) {
            continue;
        }
        let known =
            cached.facts.get(&key).filter(|facts| facts.checked || extent(&key) == Extent::Facts);
        if let Some(facts) = known {
            used.push((key, Arc::clone(facts)));
            readings.insert(key, Ok(Arc::clone(facts)));
        } else {
            wanted.insert(key, file.path.as_str());
        }
    }
    let keys: Vec<Key> = wanted.keys().copied().collect();
    let ids: Vec<BlobId> = keys.iter().map(|key| key.1).collect();
    let read = blobs::read_each(&repository.git, &ids, |at, bytes| {
        reading(keys[at].0, bytes, extent(&keys[at]))
    })?;
    let missing: Vec<&str> =
        wanted.values().zip(&read).filter(|it| it.1.is_none()).map(|it| *it.0).collect();
    if let Some(path) = missing.first() {
        let (count, path) = (missing.len(), (*path).to_owned());
        return Err(SourceError::MissingBlobs { count, path });
    }
    let read: Vec<(Key, Reading)> = keys.into_iter().zip(read.into_iter().flatten()).collect();
    let sound = |(key, reading): &(Key, Reading)| Some((*key, Arc::clone(reading.as_ref().ok()?)));
    let new: Vec<(Key, Arc<Facts>)> = read.iter().filter_map(sound).collect();
    used.extend(new.iter().cloned());
    cache.store(&cached, &new, &used);
    readings.extend(read);
    Ok(readings)
}

/// The files that only one side has, or has with this content: those will be compared.
fn changed(base: &[Arc<File>], head: &[Arc<File>]) -> FxHashSet<Key> {
    let (mut old, mut new) = (base.iter().peekable(), head.iter().peekable());
    let mut keys = FxHashSet::default();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return keys,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => Ordering::Equal,
            (Some(old), Some(new)) => old.path.cmp(&new.path),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        if before.map(|file| file.blob) != after.map(|file| file.blob) {
            let both = [before, after].into_iter().flatten();
            keys.extend(both.filter_map(|file| Some((file.kind.ok()?, file.blob))));
        }
    }
}

fn reading(kind: ConfigType, bytes: &[u8], extent: Extent) -> Reading {
    let defect = |what: &str| Err(Defect { line: 0, column: 0, what: what.to_owned() });
    if bytes.trim_ascii().is_empty() {
        return defect("the file is empty");
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let what = "a byte order mark, which Chronon cannot read".to_owned();
        return Err(Defect { line: 1, column: 1, what });
    }
    match facts::read(kind, bytes, extent) {
        Ok(facts) if facts.name.is_none() && kind != ConfigType::Team => {
            defect("there is no `metaData.name`")
        }
        Ok(facts) => Ok(Arc::new(facts)),
        Err(error) => {
            let conflict =
                bytes.split(|byte| *byte == b'\n').position(|line| line.starts_with(b"<<<<<<< "));
            Err(match conflict {
                Some(at) => {
                    let what = "an unresolved merge conflict".to_owned();
                    Defect { line: at + 1, column: 1, what }
                }
                None => Defect { line: error.line(), column: error.column(), what: plain(&error) },
            })
        }
    }
}

/// What a parser says, without any value it quotes: it may be a secret.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |split| split.0);
    match (error.is_data(), text.split_once(", expected ")) {
        (true, Some((_, expected))) => format!("expected {}", word(expected)),
        (true, None) if text.starts_with("duplicate field") => text.to_owned(),
        (true, None) => "a value of the wrong type".to_owned(),
        (false, _) => text.to_owned(),
    }
}

/// What a parser expects, in words of JSON.
fn word(expected: &str) -> &str {
    match expected {
        "i64" | "u64" | "i32" => "a whole number",
        "a map" => "an object",
        "a sequence" => "a list",
        it if it.starts_with("struct ") => "an object",
        it => it,
    }
}

/// The files of a side with the configs they are.
type Known<'a> = (&'a [Arc<File>], &'a [Option<Arc<Config>>]);

/// Puts a catalog together, and tells which file is which config; a config that the other side
/// has with the same content is shared.
fn assemble(
    side: &Revision,
    root: &str,
    files: &[Arc<File>],
    readings: &FxHashMap<Key, Reading>,
    (known, shared): Known<'_>,
) -> (Catalog, Vec<Option<Arc<Config>>>) {
    let mut catalog = Catalog {
        rev: side.rev.clone(),
        commit: side.commit.clone(),
        root: root.to_owned(),
        dialect: Dialect::Zip,
        configs: Vec::with_capacity(files.len()),
        others: Vec::new(),
        malformed: Vec::new(),
    };
    let mut known = known.iter().zip(shared).peekable();
    let mut configs = Vec::with_capacity(files.len());
    for file in files {
        while known.next_if(|it| it.0.path < file.path).is_some() {}
        let same = known.peek().filter(|it| Arc::ptr_eq(it.0, file)).and_then(|it| it.1.clone());
        let config = same.or_else(|| config(file, root, readings, &mut catalog).map(Arc::new));
        catalog.configs.extend(config.clone());
        configs.push(config);
    }
    take_out_duplicates(&mut catalog);
    (catalog, configs)
}

/// The config that a file is; a file that is none is noted in the catalog.
fn config(
    file: &File,
    root: &str,
    readings: &FxHashMap<Key, Reading>,
    catalog: &mut Catalog,
) -> Option<Config> {
    let File { path, blob, kind } = file.clone();
    let kind = match kind {
        Ok(kind) => kind,
        Err(why) => {
            catalog.others.push(OtherFile { path, blob, why });
            return None;
        }
    };
    match readings.get(&(kind, blob))? {
        Ok(facts) => {
            let below = path.strip_prefix(root).unwrap_or(&path).trim_start_matches('/');
            let address = Address::new(kind, facts.name.as_deref().unwrap_or(team_of(below)));
            Some(Config::new(address, path, blob, Arc::clone(facts)))
        }
        Err(Defect { line, column, what }) => {
            let (line, column, what) = (*line, *column, what.clone());
            catalog.malformed.push(Malformed { path, line, column, what });
            None
        }
    }
}

/// A team's file carries no name: its folder does.
fn team_of(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or(path)
}

/// Keeps one config per address, the one whose file is named after it, and reports the others:
/// what they write overwrites each other, so none of them can be planned alone.
fn take_out_duplicates(catalog: &mut Catalog) {
    let fits = |config: &Config| {
        let name = config.address.name.replacen('.', "/", 1);
        config.path.ends_with(&format!("/{}/{name}", config.address.kind.dir()))
    };
    let order = |config: &Config| (!fits(config), config.path.clone());
    catalog.configs.sort_by(|a, b| a.address.cmp(&b.address).then_with(|| order(a).cmp(&order(b))));
    let mut kept: Vec<Arc<Config>> = Vec::with_capacity(catalog.configs.len());
    for config in std::mem::take(&mut catalog.configs) {
        match kept.last().filter(|last| last.address == config.address) {
            None => kept.push(config),
            Some(first) => catalog.malformed.push(Malformed {
                what: format!("the name `{}` is also that of {}", config.address.name, first.path),
                path: config.path.clone(),
                line: 0,
                column: 0,
            }),
        }
    }
    catalog.configs = kept;
    catalog.malformed.sort();
}

impl Pair {
    /// Whether a file of either side could not be read.
    pub fn is_sound(&self) -> bool {
        self.base.malformed.is_empty() && self.head.malformed.is_empty()
    }

    /// Leaves out, on both sides, what one side could not read: else a file that is broken at
    /// head would look like one that is gone.
    pub fn leave_out_malformed(&mut self) {
        let both = self.base.malformed.iter().chain(&self.head.malformed);
        let broken: std::collections::BTreeSet<String> = both.map(|it| it.path.clone()).collect();
        for side in [&mut self.base, &mut self.head] {
            side.configs.retain(|config| !broken.contains(&config.path));
        }
    }
}

/// What wrote the files: the root's name says it, else what stands in them.
fn dialect_of(root: &str, base: &Catalog, head: &Catalog) -> Dialect {
    match root.rsplit('/').next().unwrap_or(root) {
        "production" => return Dialect::Oss,
        "compiled" | "compiled_canary" => return Dialect::Zip,
        _ => {}
    }
    let hints = base.configs.iter().chain(&head.configs);
    let sum: i64 = hints.map(|config| i64::from(config.facts.dialect_hint)).sum();
    if sum < 0 { Dialect::Oss } else { Dialect::Zip }
}
