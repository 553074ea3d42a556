//! What has been applied, as a value. Keeping it is somebody else's work.

use std::collections::BTreeMap;

use super::day::Day;
use super::name::Address;
use super::name::BlobId;
use super::name::CommitId;
use super::name::Resource;

/// The rules under which fingerprints are computed; a change of the rules takes a new number, so
/// that a new version of the tool never mistakes its own change for a config's.
pub const FINGERPRINT_VERSION: u32 = 1;

/// A hash of everything that a resource's content depends on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Stands in for a fingerprint where only whether it differs matters: that of a config with
    /// this content.
    pub fn stand_in(blob: BlobId) -> Self {
        let mut bytes = [0; 32];
        bytes[..20].copy_from_slice(&blob.0);
        Self(bytes)
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// One resource as it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The fingerprint, upstream included.
    pub fingerprint: Fingerprint,
    /// The part of it that the config alone accounts for.
    pub own: Fingerprint,
    /// The rules it was computed under.
    pub version: u32,
    /// The commit that was applied.
    pub commit: CommitId,
    /// The config's file at that commit.
    pub path: String,
    /// The config's content at that commit.
    pub blob: BlobId,
    /// The days that were computed, where the resource has days.
    pub range: Option<(Day, Day)>,
}

/// What has been applied to an env.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Which history of ledgers this one belongs to.
    pub lineage: String,
    /// How many writes it has seen.
    pub serial: u64,
    /// Every resource that was ever applied and not forgotten.
    pub applied: BTreeMap<(Address, Resource), Applied>,
}
