//! A manifest with the files of its commit: what is published, byte by byte.
//!
//! # Why
//! A deploy that stops half-way must leave the DAGs as they were. So files lie under the hash of
//! their own content, where nothing ever changes, and the manifest that points to them is written
//! last. Each file is packed by itself: a task inflates what it needs and nothing else.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::build::Built;
use super::spec;
use super::spec::Index;
use super::spec::Kind;
use super::spec::Manifest;
use crate::model::name::hex_of;
use crate::source::Held;

/// The files of a commit, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Names the pack.
    pub name: String,
    /// The pack.
    pub bytes: Vec<u8>,
    /// Where each file lies in it.
    files: BTreeMap<String, spec::Place>,
}

/// A manifest and the index that it names, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The manifest as a value.
    pub manifest: Manifest,
    /// The manifest.
    pub json: Vec<u8>,
    /// The index.
    pub index: Vec<u8>,
}

/// The folder of everything that lies under its own hash.
const FOLDER: &str = "chronon_files";

impl Packed {
    /// Packs files, in the order of their paths.
    pub fn of(files: &BTreeMap<String, Held>) -> Self {
        let (mut bytes, mut places) = (Vec::new(), BTreeMap::new());
        for (path, held) in files {
            let (start, deflated) = (bytes.len(), deflated(&held.content));
            let hash = hex_of(&Sha256::digest(&held.content));
            let place = (start as u64, deflated.len() as u64, hash, held.executable);
            places.insert(path.clone(), place);
            bytes.extend(deflated);
        }
        let name = hex_of(&Sha256::digest(&bytes));
        Self { name, bytes, files: places }
    }

    /// Where it is published.
    pub fn key(&self) -> String {
        format!("{FOLDER}/{}.pack", self.name)
    }
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // To memory, which does not fail.
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// The index of packed files: name and bytes. `steps` are the commands of one plan.
pub fn index(
    built: &Built,
    packed: &Packed,
    steps: BTreeMap<String, Vec<String>>,
) -> (String, Vec<u8>) {
    let shared = packed.files.keys().filter(|path| !built.jobs.contains_key(*path));
    let index = Index {
        format: spec::FORMAT,
        pack: packed.name.clone(),
        commit: built.manifest.commit.clone(),
        dialect: built.manifest.dialect.clone(),
        files: packed.files.clone(),
        shared: shared.cloned().collect(),
        jobs: built.jobs.clone(),
        steps,
    };
    let bytes = canonical(&index);
    (hex_of(&Sha256::digest(&bytes)), bytes)
}

/// Where an index of this name is published.
pub fn index_key(name: &str) -> String {
    format!("{FOLDER}/{name}.json")
}

impl Bundle {
    /// The manifest, with its files and its digest.
    pub fn of(built: &Built, packed: &Packed) -> Self {
        let (files, index) = index(built, packed, BTreeMap::new());
        let manifest = sealed(Manifest { files, ..built.manifest.clone() });
        Self { json: canonical(&manifest), index, manifest }
    }

    /// Where the index is published.
    pub fn index_key(&self) -> String {
        index_key(&self.manifest.files)
    }
}

/// What stands in a manifest into which DAGs of one job each were put: the digest that it had before.
pub const OVER: &str = "over";

/// The manifest that is published, with the DAGs of one job each as these schedules have them; none
/// where it has them already, or is no manifest. What runs every day stays what it is, whatever
/// version wrote it. Without one it is these DAGs alone, with `files`.
pub fn with_bounded(known: Option<&[u8]>, built: &Built, files: &str) -> Option<Vec<u8>> {
    let new = &built.manifest;
    let bounded = new.dags.iter().filter(|(_, dag)| dag.kind == Kind::Bounded);
    let Some(known) = known else {
        let dags = bounded.map(|(id, dag)| (id.clone(), dag.clone())).collect();
        return Some(canonical(&sealed(Manifest { files: files.to_owned(), dags, ..new.clone() })));
    };
    let mut manifest: Value = serde_json::from_slice(known).ok()?;
    let dags = manifest.get_mut("dags")?.as_object_mut()?;
    let before = dags.clone();
    dags.extend(bounded.map(|(id, dag)| (id.clone(), json!(dag))));
    if *dags == before {
        return None;
    }
    let teams = manifest.get_mut("teams")?.as_object_mut()?;
    for (name, team) in &new.teams {
        teams.entry(name.clone()).or_insert_with(|| json!(team));
    }
    if manifest[OVER].is_null() {
        manifest[OVER] = manifest["digest"].clone();
    }
    let digest = digest(&mut manifest);
    manifest["digest"] = json!(digest);
    Some(canonical(&manifest))
}

/// A manifest with its digest.
fn sealed(manifest: Manifest) -> Manifest {
    let digest = digest(&mut json!(manifest));
    Manifest { digest, ..manifest }
}

/// The digest of a manifest, whatever it says of it.
fn digest(manifest: &mut Value) -> String {
    if let Some(map) = manifest.as_object_mut() {
        map.remove("digest");
    }
    format!("sha256:{}", hex_of(&Sha256::digest(manifest.to_string())))
}

/// A document as bytes: keys sorted, a line to each DAG, so that two of them can be compared.
fn canonical(document: &impl Serialize) -> Vec<u8> {
    // Every key is a string, and maps of values are sorted.
    let value = serde_json::to_value(document).unwrap_or_default();
    let mut bytes = serde_json::to_vec_pretty(&value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
