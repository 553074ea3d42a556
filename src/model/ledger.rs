//! What has been applied, as a value. Keeping it is somebody else's work.

use std::collections::BTreeMap;
use std::str::FromStr;

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
        let mut text = [0; 64];
        super::name::hex(&self.0, &mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Why a text is not a fingerprint.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a fingerprint: 64 digits of lower-case hex")]
pub struct BadFingerprint(String);

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        super::name::unhex(text).map(Self).ok_or_else(|| BadFingerprint(text.to_owned()))
    }
}

/// One resource as it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The fingerprint, upstream included.
    pub fingerprint: Fingerprint,
    /// The part of it that the config alone accounts for.
    pub own: Fingerprint,
    /// The tables that it was computed from, each with the fingerprint that is part of this one's;
    /// sorted.
    pub upstream: Vec<(Address, Fingerprint)>,
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
    /// The run that applied it; `adopt` for what was recorded without one.
    pub run: String,
    /// The last job that brought it about, by the name the cluster knows it by.
    pub job: Option<String>,
    /// When, in UTC, as RFC 3339.
    pub at: String,
    /// Whether a job was started on it since and not seen to bring it about: it may be anything.
    pub begun: bool,
}

/// The write of a ledger that another one follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its serial.
    pub serial: u64,
    /// `sha256:` and a hash of its bytes.
    pub digest: String,
}

/// The schedules as they were published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The digest of the manifest, a copy of which is kept beside the ledger.
    pub digest: String,
    /// Where they are.
    pub location: String,
    /// The commit whose files the tasks run.
    pub commit: CommitId,
    /// The run that published them.
    pub run: String,
    /// When, in UTC, as RFC 3339.
    pub at: String,
    /// A fingerprint of each DAG.
    pub dags: BTreeMap<String, String>,
}

/// What has been applied to an env.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Which history of ledgers this one belongs to.
    pub lineage: String,
    /// Which write it is: grows with every one, by more than one where a write was given up.
    pub serial: u64,
    /// The write before this one; none for the first.
    pub parent: Option<Parent>,
    /// The last commit that an apply began to bring about, whether or not it got to the end.
    pub commit: Option<CommitId>,
    /// Runs whose journals have nothing to add to this ledger any more.
    pub superseded: Vec<String>,
    /// The schedules, once any were published.
    pub schedules: Option<Published>,
    /// Every resource that was ever applied and not forgotten.
    pub applied: BTreeMap<(Address, Resource), Applied>,
}

impl Ledger {
    /// The resources of a config, in order.
    pub fn of<'a>(
        &'a self,
        address: &'a Address,
    ) -> impl Iterator<Item = (Resource, &'a Applied)> + 'a {
        let from = (address.clone(), super::name::RESOURCES[0].0);
        let range = self.applied.range(from..).take_while(move |it| it.0.0 == *address);
        range.map(|(key, applied)| (key.1, applied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_round_trip_and_anything_else_is_refused() {
        let print = Fingerprint([0xa7; 32]);
        assert_eq!(print.to_string().parse::<Fingerprint>().unwrap(), print);
        for bad in ["", "a7", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
