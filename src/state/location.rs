//! Where state is kept, as the settings name it, and the store that is there.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::StateError;
use super::gcs::Gcs;
use super::local::Local;
use super::store::Store;
use super::store::StoreError;
use super::store::check_key;

/// How long one call to a storage service may take; a call that takes longer is made again.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A place for the state of all envs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A prefix of a bucket of Google Cloud Storage.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix, without slashes around it; empty for the whole bucket.
        prefix: String,
    },
    /// A folder.
    Folder(PathBuf),
}

impl Location {
    /// What a setting means: `gs://BUCKET/PREFIX`, or a folder, from the top of the repository.
    ///
    /// # Errors
    /// Where it is neither, with what is wrong.
    pub fn parse(text: &str, repo_top: &Path) -> Result<Self, StateError> {
        if let Some(rest) = text.strip_prefix("gs://") {
            return bucket(text, rest);
        }
        let scheme = text.split('/').next().unwrap_or_default();
        if scheme.contains(':') {
            let what = format!("the state location `{text}` is of a kind that is not supported");
            return Err(wrong(
                what,
                "use `gs://BUCKET/PREFIX`, or a folder without `:` before its first `/`",
            ));
        }
        if text.trim().is_empty() {
            return Err(wrong("the state location is empty", USE));
        }
        if text.starts_with('~') {
            let what =
                format!("the state location `{text}` starts with `~`, which only a shell knows");
            return Err(wrong(what, "write the folder's full path"));
        }
        Ok(Self::Folder(repo_top.join(text)))
    }
}

const USE: &str = "use `gs://BUCKET/PREFIX`, or a folder";

fn wrong(what: impl Into<String>, next: &str) -> StateError {
    StateError::Refused { what: what.into(), next: next.to_owned() }
}

fn bucket(text: &str, rest: &str) -> Result<Location, StateError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some(rule) = broken_rule(bucket) {
        return Err(wrong(
            format!("the state location `{text}` names no bucket: its name {rule}"),
            "use `gs://BUCKET/PREFIX`; `gcloud storage buckets list` shows the names of yours",
        ));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if !prefix.is_empty()
        && let Err(StoreError::Refused { what, next }) = check_key(prefix)
    {
        let what = format!("the state location `{text}` has a prefix that cannot be used: {what}");
        return Err(StateError::Refused { what, next });
    }
    Ok(Location::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// The rule that a bucket's name breaks, if any; those that Google publishes.
fn broken_rule(bucket: &str) -> Option<&'static str> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let most = if bucket.contains('.') { 222 } else { 63 };
    match bucket {
        _ if !(3..=most).contains(&bucket.len()) => Some("must have 3 to 63 characters"),
        _ if !bucket.chars().all(|c| letter(c) || "-_.".contains(c)) => {
            Some("may only have lower-case letters, digits, `-`, `_` and `.`")
        }
        _ if !bucket.starts_with(letter) || !bucket.ends_with(letter) => {
            Some("must start and end with a letter or digit")
        }
        _ if bucket.split('.').any(|part| part.is_empty() || part.len() > 63) => {
            Some("must have 1 to 63 characters between two dots")
        }
        _ if !bucket.contains(|c: char| c.is_ascii_lowercase() || "-_".contains(c))
            && bucket.split('.').count() == 4 =>
        {
            Some("may not be an IP address")
        }
        _ if bucket.starts_with("goog") => Some("may not start with `goog`"),
        _ => None,
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "gs://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "gs://{bucket}/{prefix}"),
            Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// The store of one env. `endpoint` stands in for Google's, and is asked without credentials.
///
/// # Errors
/// Where the env's name cannot be part of an object's, or there are no credentials.
pub fn open(
    location: &Location,
    env: &str,
    endpoint: Option<&str>,
) -> Result<Box<dyn Store>, StateError> {
    check_key(env)?;
    let of_env = match location {
        Location::Folder(folder) => Location::Folder(folder.join(env)),
        Location::Bucket { bucket, prefix } => {
            let prefix = if prefix.is_empty() { env.to_owned() } else { format!("{prefix}/{env}") };
            Location::Bucket { bucket: bucket.clone(), prefix }
        }
    };
    open_at(&of_env, endpoint)
}

/// The store at a location itself.
///
/// # Errors
/// Where there are no credentials.
pub fn open_at(location: &Location, endpoint: Option<&str>) -> Result<Box<dyn Store>, StateError> {
    match location {
        Location::Folder(folder) => Ok(Box::new(Local::open(folder))),
        Location::Bucket { bucket, prefix } => {
            Ok(Box::new(Gcs::open(bucket, prefix, endpoint, TIMEOUT)?))
        }
    }
}
