//! Names: what a config, a resource, a mode and a commit are called.
//!
//! # Why
//! Every identifier is a type of its own, so that a path is never passed where an address is
//! meant, and each has one spelling for people, JSON and ids.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// The flavour of compiled files: what wrote them and which rules they follow
/// (reference §1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// airbnb/chronon, `production/`.
    Oss,
    /// zipline-ai, `compiled/`.
    Zip,
}

impl Dialect {
    /// The name used in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oss => "oss",
            Self::Zip => "zip",
        }
    }
}

/// What a compiled file defines; decided by its directory, never by its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigType {
    /// `group_bys/`
    GroupBy,
    /// `joins/`
    Join,
    /// `model_transforms/`
    ModelTransforms,
    /// `models/`
    Model,
    /// `staging_queries/`
    StagingQuery,
    /// `teams_metadata/`: a team's defaults, which compile also bakes into each config.
    Team,
}

/// Every type with its directory and the word Chronon uses for it; sorted by directory.
pub const CONFIG_TYPES: [(ConfigType, &str, &str); 6] = [
    (ConfigType::GroupBy, "group_bys", "GroupBy"),
    (ConfigType::Join, "joins", "Join"),
    (ConfigType::ModelTransforms, "model_transforms", "ModelTransforms"),
    (ConfigType::Model, "models", "Model"),
    (ConfigType::StagingQuery, "staging_queries", "StagingQuery"),
    (ConfigType::Team, "teams_metadata", "Team"),
];

impl ConfigType {
    fn row(self) -> (Self, &'static str, &'static str) {
        CONFIG_TYPES[self as usize]
    }

    /// The directory under the compiled root.
    pub fn dir(self) -> &'static str {
        self.row().1
    }

    /// Chronon's word for it, also the name of its struct in the schema.
    pub fn word(self) -> &'static str {
        self.row().2
    }

    /// The type whose directory this is.
    pub fn of_dir(dir: &str) -> Option<Self> {
        CONFIG_TYPES.iter().find(|row| row.1 == dir).map(|row| row.0)
    }
}

/// A config's identity within an env: its type and its `metaData.name`.
///
/// Names are unique per type only (reference §3.2), so neither half is enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// What it defines.
    pub kind: ConfigType,
    /// `metaData.name`, as written.
    pub name: Arc<str>,
}

impl Address {
    /// The address of the config of type `kind` called `name`.
    pub fn new(kind: ConfigType, name: &str) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.dir(), self.name)
    }
}

/// Why a text is not an address.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an address; one looks like `group_bys/team.file.name__1`")]
pub struct BadAddress(String);

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        let (dir, name) = text.split_once('/').ok_or_else(bad)?;
        let kind = ConfigType::of_dir(dir).ok_or_else(bad)?;
        Ok(Self::new(kind, name))
    }
}

/// A thing that a config keeps alive outside the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The online-offline consistency tables of a Join.
    Consistency,
    /// A GroupBy's batch dataset in the KV store, serving info included.
    Kv,
    /// The copy of a config in the KV store that the fetcher reads.
    Metadata,
    /// A GroupBy's streaming job.
    Stream,
    /// The output table.
    Table,
}

/// Every resource with its name, in order.
pub const RESOURCES: [(Resource, &str); 5] = [
    (Resource::Consistency, "consistency"),
    (Resource::Kv, "kv"),
    (Resource::Metadata, "metadata"),
    (Resource::Stream, "stream"),
    (Resource::Table, "table"),
];

impl Resource {
    /// The name in plans, ledgers and tables.
    pub fn name(self) -> &'static str {
        RESOURCES[self as usize].1
    }

    /// The resource of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        RESOURCES.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is not a resource.
#[derive(Debug, thiserror::Error)]
#[error("there is no resource `{0}`")]
pub struct BadResource(String);

impl FromStr for Resource {
    type Err = BadResource;

    fn from_str(text: &str) -> Result<Self, BadResource> {
        Self::by_name(text).ok_or_else(|| BadResource(text.to_owned()))
    }
}

/// A git commit id, in hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub String);

impl CommitId {
    /// The first seven digits, as people write it.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A git blob id: equal ids are equal bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId(pub [u8; 20]);

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 40];
        hex(&self.0, &mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Why a text is not a blob id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a blob id: 40 digits of lower-case hex")]
pub struct BadBlobId(String);

impl FromStr for BlobId {
    type Err = BadBlobId;

    fn from_str(text: &str) -> Result<Self, BadBlobId> {
        unhex(text).map(Self).ok_or_else(|| BadBlobId(text.to_owned()))
    }
}

/// Bytes as hex, two digits each.
pub fn hex_of(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    hex(bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes bytes as hex, two digits each: a ledger holds hundreds of thousands.
pub(super) fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Reads as many bytes as are asked for; none where the text is anything else.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

/// Chronon's rule for turning a name into a table or dataset name (reference §1.6).
pub fn sanitize(name: &str) -> String {
    let mut sanitized = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => sanitized.push(char::from(byte)),
            // The later bytes of a character: it has its underscore already.
            0x80..=0xbf => {}
            _ => sanitized.push('_'),
        }
    }
    sanitized
}

/// Splits `base__N` into the base and the version, the way `zipline compile` writes versions.
pub fn split_version(name: &str) -> (&str, Option<u64>) {
    match name.rsplit_once("__") {
        Some((base, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_or((name, None), |version| (base, Some(version)))
        }
        _ => (name, None),
    }
}

/// Values that are written as text and read without a copy of it: of some there are very many.
pub(crate) mod text {
    use std::fmt::Display;
    use std::fmt::Formatter;
    use std::marker::PhantomData;
    use std::str::FromStr;

    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error;
    use serde::de::Visitor;

    pub(crate) fn serialize<T: Display, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        from.deserialize_str(Parse(PhantomData))
    }

    /// The same for values that may be left out; where there is one it is never null.
    pub(crate) mod optional {
        use std::fmt::Display;
        use std::str::FromStr;

        use serde::Deserializer;
        use serde::Serializer;

        pub(crate) fn serialize<T: Display, S: Serializer>(
            it: &Option<T>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match it {
                Some(it) => to.collect_str(it),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
        where
            T: FromStr<Err: Display>,
            D: Deserializer<'de>,
        {
            super::deserialize(from).map(Some)
        }
    }

    struct Parse<T>(PhantomData<T>);

    impl<T: FromStr<Err: Display>> Visitor<'_> for Parse<T> {
        type Value = T;

        fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::model::name::text::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::model::name::text::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use serde_as_text;

serde_as_text!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_indexed_by_their_own_variants() {
        for (index, row) in CONFIG_TYPES.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
        }
        for (index, row) in RESOURCES.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
        }
    }

    #[test]
    fn addresses_round_trip_whatever_the_name() {
        for name in ["a.b__1", "with/slash", "-dash", "new\nline", "ünï\"code"] {
            let address = Address::new(ConfigType::Join, name);
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn versions_are_digits_after_two_underscores() {
        assert_eq!(split_version("a.b__12"), ("a.b", Some(12)));
        assert_eq!(split_version("a.b__x"), ("a.b__x", None));
        assert_eq!(split_version("a.b"), ("a.b", None));
    }
}
