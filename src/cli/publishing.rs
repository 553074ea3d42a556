//! Publishes schedules: to a folder, or to the bucket that Airflow reads its DAGs from.
//!
//! # Why
//! Airflow reads while we write. So what a manifest names is there before the manifest is, under
//! names that nothing else ever has, and the manifest is one write: a deploy that stops anywhere
//! leaves the DAGs of one commit, the old or the new.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use super::failure::Failure;
use super::state::clock;
use crate::render::visible;
use crate::schedule;
use crate::schedule::Packed;
use crate::schedule::spec::Manifest;
use crate::state::location;
use crate::state::location::Location;
use crate::state::objects::Objects;
use crate::state::store::Expect;
use crate::state::store::Generation;
use crate::state::store::Put;

/// A place for DAGs.
pub(super) enum Place {
    Folder(PathBuf),
    Bucket(Objects),
}

/// The manifest that is published, as it was read.
pub(super) struct Known {
    pub(super) bytes: Option<Vec<u8>>,
    generation: Option<Generation>,
}

impl Known {
    /// What it says under a name, whatever else of it this program knows.
    pub(super) fn says(&self, name: &str) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(self.bytes.as_ref()?).ok()?;
        json[name].as_str().map(str::to_owned)
    }

    /// The whole of it; none where there is none that this program knows.
    pub(super) fn manifest(&self) -> Option<Manifest> {
        read(self.bytes.as_ref()?)
    }
}

/// A file to publish.
struct File<'a> {
    key: String,
    bytes: &'a [u8],
    /// Whether nothing else ever has this name.
    fixed: bool,
}

impl Place {
    /// The place that a setting names.
    pub(super) fn open(text: &str, top: &Path) -> Result<Self, Failure> {
        let location = Location::parse(text, top)
            .map_err(|error| Failure::from(error).hint("mend the setting `env.*.airflow.dags`"))?;
        match location {
            Location::Folder(folder) => Ok(Self::Folder(folder)),
            Location::Bucket { .. } => {
                let endpoint =
                    std::env::var("STORAGE_EMULATOR_HOST").ok().filter(|it| !it.is_empty());
                let store = location::open_at(&location, endpoint.as_deref())?;
                Ok(Self::Bucket(Objects::new(store, clock())))
            }
        }
    }

    /// Publishes a manifest whose files are there, in place of the one that was read: whoever was
    /// paused meanwhile must not put an older one over that of somebody else. `may` is asked right
    /// before.
    pub(super) fn publish(
        &self,
        manifest: &[u8],
        known: &Known,
        may: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        may()?;
        let file = changing(schedule::MANIFEST_FILE, manifest);
        match self {
            Self::Folder(_) if self.manifest()?.bytes != known.bytes => Err(self.contended(&file)),
            Self::Folder(_) => self.write(&file),
            Self::Bucket(objects) => self.replace(objects, &file, known),
        }
    }

    /// Publishes the files of a commit and the loader, and no manifest.
    pub(super) fn prepare(
        &self,
        packed: &Packed,
        key: String,
        index: &[u8],
    ) -> Result<(), Failure> {
        let files = [
            File { key: packed.key(), bytes: &packed.bytes, fixed: true },
            File { key, bytes: index, fixed: true },
            changing(schedule::LOADER_FILE, schedule::LOADER.as_bytes()),
        ];
        files.iter().try_for_each(|file| self.write(file))
    }

    /// The manifest that is published.
    pub(super) fn manifest(&self) -> Result<Known, Failure> {
        match self {
            Self::Folder(folder) => match std::fs::read(folder.join(schedule::MANIFEST_FILE)) {
                Ok(bytes) => Ok(Known { bytes: Some(bytes), generation: None }),
                Err(_) => Ok(Known { bytes: None, generation: None }),
            },
            Self::Bucket(objects) => Self::known(objects, schedule::MANIFEST_FILE),
        }
    }

    fn known(objects: &Objects, key: &str) -> Result<Known, Failure> {
        let found = objects.get(key)?;
        let generation = found.as_ref().map(|it| it.generation);
        Ok(Known { bytes: found.map(|it| it.bytes), generation })
    }

    /// A place holds the schedules of one env of one repository: those of another would be lost, and
    /// its DAGs would run our jobs as they run theirs. `ours` says of a commit whether it may be one
    /// of ours.
    pub(super) fn refuse_others(
        &self,
        env: &str,
        known: &Known,
        ours: &dyn Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        if let Some(other) = known.says("env").filter(|it| it != env) {
            let what = format!("{} holds the schedules of env `{}`", self.name(), visible(&other));
            return Err(Failure::new(what).hint("give each env a folder of its own"));
        }
        let Some(other) = known.says("commit").filter(|it| !ours(it)) else { return Ok(()) };
        let what = format!(
            "{} holds the schedules of commit {}, which this repository does not have",
            self.name(),
            visible(&other)
        );
        Err(Failure::new(what)
            .hint("give each repository a folder and an `env.*.airflow.prefix` of its own")
            .hint(format!(
                "if its history was rewritten: delete {} there, then apply again",
                schedule::MANIFEST_FILE
            )))
    }

    fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Bucket(objects) => objects.location(),
        }
    }

    fn write(&self, file: &File<'_>) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(&file.key);
                put(&path, file).map_err(|error| {
                    Failure::new(format!("{}: {error}", path.display()))
                        .hint("name a folder that can be written")
                })
            }
            Self::Bucket(objects) => self.upload(objects, file),
        }
    }

    fn upload(&self, objects: &Objects, file: &File<'_>) -> Result<(), Failure> {
        if !file.fixed {
            return self.replace(objects, file, &Self::known(objects, &file.key)?);
        }
        match objects.put(&file.key, Expect::Absent, file.bytes)? {
            // One that is there already is the same.
            Put::Written(_) => Ok(()),
            Put::Conflict => {
                let what = format!("{} in {} is not what was published", file.key, self.name());
                Err(Failure::new(what).hint("delete it there, then apply again"))
            }
        }
    }

    /// Writes a file in place of the one that was read.
    fn replace(&self, objects: &Objects, file: &File<'_>, known: &Known) -> Result<(), Failure> {
        if known.bytes.as_deref() == Some(file.bytes) {
            return Ok(());
        }
        let expect = known.generation.map_or(Expect::Absent, Expect::At);
        match objects.put(&file.key, expect, file.bytes)? {
            Put::Written(_) => Ok(()),
            Put::Conflict => Err(self.contended(file)),
        }
    }

    fn contended(&self, file: &File<'_>) -> Failure {
        Failure::new(format!("somebody else writes {} in {}", file.key, self.name()))
            .hint("let one env publish there, then apply again")
    }
}

fn changing<'a>(key: &str, bytes: &'a [u8]) -> File<'a> {
    File { key: key.to_owned(), bytes, fixed: false }
}

/// Writes a file whole or not at all; one that is there already as it should be is left alone.
fn put(path: &Path, file: &File<'_>) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|known| known == file.bytes) {
        return Ok(());
    }
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = write_through(&draft, file.bytes).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        std::fs::remove_file(&draft).unwrap_or_default();
    }
    written
}

/// Writes a file so that its name never stands for half of it, whatever becomes of the machine.
fn write_through(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A manifest as it was published; none where it is none that this program knows.
pub(super) fn read(bytes: &[u8]) -> Option<Manifest> {
    serde_json::from_slice(bytes).ok()
}
