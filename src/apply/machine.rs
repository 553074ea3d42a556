//! What a runner may know of the machine: the environment, and where programs and locks are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest;
use sha2::Sha256;

use crate::model::name::hex_of;

/// The machine, as the command line hands it on; jobs get this environment and no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The environment, as far as it is text.
    pub env: BTreeMap<String, String>,
    /// A folder for one lock file per job; the same in every run on this machine.
    pub locks: PathBuf,
}

impl Machine {
    /// The value of a variable; none where it is missing or empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The file that a program's name stands for: along `PATH`, or from `folder` where the name
    /// is a path.
    pub fn program(&self, name: &str, folder: &Path) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(folder.join(name)).filter(|file| is_program(file));
        }
        let places = self.value("PATH")?.split(':').filter(|place| !place.is_empty());
        places.map(|place| folder.join(place).join(name)).find(|file| is_program(file))
    }

    /// The lock file of a job: as long as any process of it lives, the file is locked.
    pub fn lock(&self, operation: &str) -> PathBuf {
        let digest = Sha256::digest(operation.as_bytes());
        self.locks.join(format!("{}.lock", hex_of(&digest[..16])))
    }
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
