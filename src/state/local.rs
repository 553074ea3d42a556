//! A folder as a store: one file per object, for a laptop, a demo and tests.
//!
//! # Why
//! A folder has no generations and no conditions, so both are made here. Beside the objects lie
//! `.lock`, which every process holds while it touches anything, and `.generations/`, with the
//! number of each object that was ever overwritten; one that was only created is at 1. The number
//! moves before the content does: a process that is killed in between leaves a number that nobody
//! has seen, never a content under a number that stood for another.

use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::store::Expect;
use super::store::Generation;
use super::store::Object;
use super::store::Put;
use super::store::Store;
use super::store::StoreError;
use super::store::check_key;

/// Held shared to read and alone to write; it exists from the first write on.
const LOCK: &str = ".lock";

/// Where the numbers of overwritten objects lie.
const GENERATIONS: &str = ".generations";

/// What is being written; whoever holds the lock alone owns it, so one name is enough.
const NEW: &str = ".new";

/// The same, for a number.
const NEW_NUMBER: &str = ".new-number";

/// A store in a folder.
#[derive(Debug)]
pub struct Local {
    folder: PathBuf,
}

impl Local {
    /// The store in this folder. Nothing is made until something is written.
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    fn number(&self, key: &str) -> PathBuf {
        self.folder.join(GENERATIONS).join(key)
    }

    /// Which write of an object its file is; none where there is no file.
    fn current(&self, key: &str) -> Result<Option<Generation>, StoreError> {
        let path = self.path(key);
        let found = absent(path.metadata()).map_err(|error| refused("read", &path, &error))?;
        match found {
            Some(found) if found.is_file() => Ok(Some(self.moved(key)?.unwrap_or(Generation(1)))),
            _ => Ok(None),
        }
    }

    /// The number that an object was moved to; none where it was only created.
    fn moved(&self, key: &str) -> Result<Option<Generation>, StoreError> {
        let path = self.number(key);
        let text = absent(fs::read_to_string(&path));
        let Some(text) = text.map_err(|error| refused("read", &path, &error))? else {
            return Ok(None);
        };
        match text.trim().parse() {
            Ok(number) => Ok(Some(Generation(number))),
            Err(error) => Err(StoreError::Refused {
                what: format!("{} holds no number: {error}", path.display()),
                next: format!("restore {} from a copy", self.folder.display()),
            }),
        }
    }

    fn read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let Some(generation) = self.current(key)? else { return Ok(None) };
        let path = self.path(key);
        let bytes = absent(fs::read(&path)).map_err(|error| refused("read", &path, &error))?;
        Ok(bytes.map(|bytes| Object { generation, bytes }))
    }

    /// The lock file, if anything was ever written.
    fn lock(&self) -> Result<Option<File>, StoreError> {
        let path = self.path(LOCK);
        absent(File::open(&path)).map_err(|error| refused("read", &path, &error))
    }

    /// The lock, held alone; the folder is made where there is none.
    fn hold(&self) -> Result<File, StoreError> {
        let lock = match self.lock()? {
            Some(lock) => lock,
            None => self.prepare().map_err(|error| refused("create", &self.folder, &error))?,
        };
        lock.lock().map_err(|error| refused("lock", &self.path(LOCK), &error))?;
        Ok(lock)
    }

    fn prepare(&self) -> io::Result<File> {
        make(&self.folder)?;
        // It lies in people's repositories, and is no part of them.
        let ignore = self.path(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        let lock = File::options().create(true).append(true).open(self.path(LOCK))?;
        sync(&self.path(LOCK))?;
        Ok(lock)
    }

    /// Writes an object, and its number before it where it has one. Every file is whole at every
    /// moment: the old one, then the new one.
    fn write(&self, key: &str, moved: Option<Generation>, bytes: &[u8]) -> io::Result<()> {
        let (path, number) = (self.path(key), self.number(key));
        // The content comes first: a disk that is full is found before the number moves.
        let new = self.lay(NEW, &path, bytes)?;
        if let Some(moved) = moved {
            let new = self.lay(NEW_NUMBER, &number, moved.0.to_string().as_bytes())?;
            fs::rename(new, &number)?;
            sync(&number)?;
        }
        fs::rename(new, path)
    }

    /// Puts content on the disk that is to become `path`.
    fn lay(&self, new: &str, path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
        if let Some(folder) = path.parent() {
            make(folder)?;
        }
        let new = self.path(new);
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        Ok(new)
    }
}

impl Store for Local {
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        check_key(key)?;
        loop {
            let lock = self.lock()?;
            if let Some(lock) = &lock {
                lock.lock_shared().map_err(|error| refused("lock", &self.path(LOCK), &error))?;
            }
            let found = self.read(key)?;
            // Where nobody has written yet there is no lock: then nobody may have begun to since.
            if lock.is_some() || self.lock()?.is_none() {
                return Ok(found);
            }
        }
    }

    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError> {
        check_key(key)?;
        let _lock = self.hold()?;
        let current = self.current(key)?;
        let path = self.path(key);
        let moved = match (expect, current) {
            // A number without a file: somebody removed the file by hand.
            (Expect::Absent, None) => self.moved(key)?.map(|it| Generation(it.0 + 1)),
            (Expect::At(expected), Some(current)) if expected == current => {
                Some(Generation(current.0 + 1))
            }
            _ => return Ok(Put::Conflict),
        };
        self.write(key, moved, bytes).map_err(|error| refused("write", &path, &error))?;
        sync(&path).map_err(|error| StoreError::Unclear(said("write", &path, &error)))?;
        Ok(Put::Written(moved.unwrap_or(Generation(1))))
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn location(&self) -> String {
        self.folder.display().to_string()
    }
}

/// What was found; none where there is nothing of that name.
fn absent<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// Makes a folder that lasts; what is there already costs nothing.
fn make(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync(folder),
    }
}

/// Makes the name of a file or folder last: names are kept by the folder that they are in.
fn sync(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn said(verb: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {verb} {}: {error}", path.display())
}

fn refused(verb: &str, path: &Path, error: &io::Error) -> StoreError {
    let next = match error.kind() {
        ErrorKind::PermissionDenied => {
            "give yourself that permission, or name another folder (setting `env.*.state`)"
        }
        ErrorKind::StorageFull => "free some space on that disk, then run it again",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "move the file away that stands where a folder is to be"
        }
        _ => {
            "check that the folder is on a disk that works, or name another one (setting `env.*.state`)"
        }
    };
    StoreError::Refused { what: said(verb, path, error), next: next.to_owned() }
}
