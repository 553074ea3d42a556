//! Publishes schedules: to a folder, or to the bucket that Airflow reads its DAGs from.
//!
//! # Why
//! Airflow reads while we write. So what a manifest names is there before the manifest is, under
//! names that nothing else ever has, and the manifest is one write: a deploy that stops anywhere
//! leaves the DAGs of one commit, the old or the new.

use std::path::Path;
use std::path::PathBuf;

use super::failure::Failure;
use super::state::clock;
use crate::render::visible;
use crate::schedule;
use crate::schedule::Bundle;
use crate::schedule::Packed;
use crate::schedule::spec::Manifest;
use crate::state::location;
use crate::state::location::Location;
use crate::state::objects::Objects;
use crate::state::store::Expect;
use crate::state::store::Put;

/// A place for DAGs.
pub(super) enum Place {
    Folder(PathBuf),
    Bucket(Objects),
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

    /// Publishes everything, the manifest last.
    pub(super) fn publish(&self, packed: &Packed, bundle: &Bundle) -> Result<(), Failure> {
        self.refuse_others(&bundle.manifest.env)?;
        self.prepare(packed, bundle.index_key(), &bundle.index)?;
        self.write(&changing(schedule::MANIFEST_FILE, &bundle.json))
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
    pub(super) fn manifest(&self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Folder(folder) => Ok(std::fs::read(folder.join(schedule::MANIFEST_FILE)).ok()),
            Self::Bucket(objects) => Ok(objects.get(schedule::MANIFEST_FILE)?.map(|it| it.bytes)),
        }
    }

    /// A place holds the schedules of one env: those of another would be lost.
    fn refuse_others(&self, env: &str) -> Result<(), Failure> {
        let known =
            self.manifest()?.and_then(|it| serde_json::from_slice::<serde_json::Value>(&it).ok());
        let other = known.and_then(|it| it["env"].as_str().map(str::to_owned));
        let Some(other) = other.filter(|it| it != env) else { return Ok(()) };
        Err(Failure::new(format!(
            "{} holds the schedules of env `{}`",
            self.name(),
            visible(&other)
        ))
        .hint("give each env a folder of its own"))
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
        if file.fixed {
            // One that is there already is the same.
            return Ok(objects.put(&file.key, Expect::Absent, file.bytes).map(|_| ())?);
        }
        let known = objects.get(&file.key)?;
        if known.as_ref().is_some_and(|it| it.bytes == file.bytes) {
            return Ok(());
        }
        let expect = known.map_or(Expect::Absent, |it| Expect::At(it.generation));
        match objects.put(&file.key, expect, file.bytes)? {
            Put::Written(_) => Ok(()),
            Put::Conflict => {
                Err(Failure::new(format!("somebody else writes {} in {}", file.key, self.name()))
                    .hint("let one env publish there, then apply again"))
            }
        }
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
    std::fs::write(&draft, file.bytes).and_then(|()| std::fs::rename(&draft, path))
}

/// A manifest as it was published; none where it is none that this program knows.
pub(super) fn read(bytes: &[u8]) -> Option<Manifest> {
    serde_json::from_slice(bytes).ok()
}
