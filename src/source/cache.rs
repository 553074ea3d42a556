//! Facts of files that were read before, kept beside the repository's objects.
//!
//! # Why
//! A blob id names its bytes, so facts computed from a blob are true for ever. A second plan then
//! reads only the files that nobody has planned yet. The cache may be deleted at any time; a
//! damaged or foreign one is ignored, never believed: every segment carries a checksum, and its
//! header a hash of the very source code that computes facts.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::model::facts::Facts;
use crate::model::name::BlobId;
use crate::model::name::CONFIG_TYPES;
use crate::model::name::ConfigType;

/// The code whose change makes every cached fact stale.
const COMPUTED_BY: [&str; 4] = [
    include_str!("../model/facts.rs"),
    include_str!("../model/shape.rs"),
    include_str!("../model/sql.rs"),
    include_str!("../model/day.rs"),
];

/// Entries per segment: segments are decoded side by side.
const SEGMENT: usize = 4096;

/// Above this many segments per full one, or bytes that nobody asked for, the file is written anew.
const SLACK: usize = 3;

/// What identifies facts: a blob, and what it is taken for.
pub(super) type Key = (ConfigType, BlobId);

/// Where facts are kept; nowhere when switched off.
#[derive(Clone, Debug)]
pub struct Cache {
    file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Entry<F> {
    kind: u8,
    blob: BlobId,
    facts: F,
}

/// The facts of a cache file, and whether the file is worth adding to.
#[derive(Default)]
pub(super) struct Cached {
    pub(super) facts: FxHashMap<Key, Arc<Facts>>,
    segments: usize,
    sound: bool,
}

impl Cache {
    /// Keeps facts in this folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self { file: Some(folder.join("facts")) }
    }

    /// Keeps nothing.
    pub fn off() -> Self {
        Self { file: None }
    }

    /// Everything that is there and sound.
    pub(super) fn load(&self) -> Cached {
        let bytes = self.file.as_ref().and_then(|file| fs::read(file).ok()).unwrap_or_default();
        let header = header();
        let Some(rest) = bytes.strip_prefix(&header[..]) else { return Cached::default() };
        let (segments, sound) = split(rest);
        let mut facts: FxHashMap<Key, Arc<Facts>> = FxHashMap::default();
        let threads = super::blobs::cores().max(1);
        let decoded: Vec<Option<Vec<Entry<Facts>>>> = std::thread::scope(|scope| {
            let share = segments.len().div_ceil(threads).max(1);
            let work = |part: &[&[u8]]| part.iter().map(|it| decode(it)).collect::<Vec<_>>();
            let running: Vec<_> =
                segments.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
            running.into_iter().flat_map(|it| it.join().unwrap_or_default()).collect()
        });
        let intact = decoded.iter().all(Option::is_some);
        for entry in decoded.into_iter().flatten().flatten() {
            if let Some(row) = CONFIG_TYPES.get(usize::from(entry.kind)) {
                facts.insert((row.0, entry.blob), Arc::new(entry.facts));
            }
        }
        Cached { facts, segments: segments.len(), sound: sound && intact }
    }

    /// Adds facts that were computed now, and drops what nobody uses when there is much of it.
    ///
    /// A cache that cannot be written is no error: the next plan is slower, not wrong.
    pub(super) fn store(
        &self,
        before: &Cached,
        new: &[(Key, Arc<Facts>)],
        used: &[(Key, Arc<Facts>)],
    ) {
        let Some(file) = &self.file else { return };
        let crowded = before.segments > SLACK + SLACK * before.facts.len().div_ceil(SEGMENT);
        let stale = before.facts.len() + new.len() > SLACK * used.len() + SEGMENT;
        let written = if !before.sound || crowded || stale {
            replace(file, used)
        } else if new.is_empty() {
            Ok(())
        } else {
            append(file, new)
        };
        written.unwrap_or_default();
    }
}

fn header() -> Vec<u8> {
    let mut hash = Sha256::new();
    for code in COMPUTED_BY {
        hash.update(code.as_bytes());
    }
    let mut header = b"chronon-plan facts\n".to_vec();
    header.extend_from_slice(&hash.finalize());
    header
}

/// The bodies of the segments whose checksums hold, and whether that was all.
fn split(mut rest: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let Some((length, after)) = rest.split_first_chunk::<8>() else { return (segments, false) };
        let Some((sum, after)) = after.split_first_chunk::<32>() else { return (segments, false) };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((body, after)) = after.split_at_checked(length) else { return (segments, false) };
        if Sha256::digest(body)[..] != sum[..] {
            return (segments, false);
        }
        segments.push(body);
        rest = after;
    }
    (segments, true)
}

fn decode(body: &[u8]) -> Option<Vec<Entry<Facts>>> {
    postcard::from_bytes(body).ok()
}

fn encode(facts: &[(Key, Arc<Facts>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in facts.chunks(SEGMENT) {
        let entries: Vec<Entry<&Facts>> = part
            .iter()
            .map(|((kind, blob), facts)| Entry { kind: *kind as u8, blob: *blob, facts: &**facts })
            .collect();
        let Ok(body) = postcard::to_stdvec(&entries) else { continue };
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(&body));
        bytes.extend_from_slice(&body);
    }
    bytes
}

fn append(file: &Path, facts: &[(Key, Arc<Facts>)]) -> std::io::Result<()> {
    fs::OpenOptions::new().append(true).open(file)?.write_all(&encode(facts))
}

fn replace(file: &Path, facts: &[(Key, Arc<Facts>)]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!("facts.{}", std::process::id()));
    let mut bytes = header();
    bytes.extend(encode(facts));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, file).or_else(|error| {
        fs::remove_file(&draft)?;
        Err(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice::from_ref;

    fn entry(n: u8) -> (Key, Arc<Facts>) {
        let facts = Facts { name: Some(format!("t.{n}")), ..Facts::default() };
        ((ConfigType::GroupBy, BlobId([n; 20])), Arc::new(facts))
    }

    #[test]
    fn what_was_stored_is_loaded_and_what_was_damaged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let (one, two) = (entry(1), entry(2));
        cache.store(&cache.load(), from_ref(&one), from_ref(&one));
        cache.store(&cache.load(), from_ref(&two), &[one.clone(), two.clone()]);
        let loaded = cache.load();
        assert_eq!((loaded.facts.len(), loaded.segments, loaded.sound), (2, 2, true));
        let file = folder.path().join("facts");
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&file, &bad).unwrap();
            for (key, facts) in cache.load().facts {
                assert!([&one, &two].contains(&&(key, facts)), "byte {at} was believed");
            }
            fs::write(&file, &good[..at]).unwrap();
            assert!(cache.load().facts.len() < 2, "truncated at {at}");
        }
    }
}
