//! The plan that was approved, kept in a check run beside its digest.
//!
//! # Why
//! The digest alone says that another plan is another, but not what differs. Nothing else that
//! GitHub keeps is at hand when a pull request is merged: an artifact expires, a comment may be
//! edited by anybody who may write. What is kept is what steps do and why, packed; where even that
//! has no room, the digest stands alone.

use std::io::Read;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::plan::contract::Plan;

/// How many characters the text of a check run may have.
const ROOM: usize = 65_535;

/// A plan is never larger than this; a text that claims to be is none.
const LARGEST: u64 = 64 << 20;

const OPEN: &str = "```text\nchronon-plan ";
const CLOSE: &str = "\n```\n";
const SAYS: &str = "What the digest stands for, for the apply to compare with:\n\n";

/// Who made a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The plan of a pull request, on its newest commit.
    Pull,
    /// A merge queue, on the very commit that lands.
    Queue,
    /// An apply.
    Apply,
}

/// Each with what the text says of it.
#[rustfmt::skip] // one maker, one line
const MAKERS: [(Maker, &str); 3] = [
    (Maker::Pull, "Planned for a pull request. "),
    (Maker::Queue, "Planned for the merge queue. "),
    (Maker::Apply, "Applied. "),
];

/// Who made the check that has this text; none where it does not say.
pub fn maker(text: &str) -> Option<Maker> {
    MAKERS.iter().find(|row| text.starts_with(row.1)).map(|row| row.0)
}

/// The text that keeps a plan, and whether it does: a plan that is too large has no room.
pub fn text(plan: &Plan, maker: Maker) -> (String, bool) {
    let says = MAKERS[maker as usize].1;
    match packed(plan).map(|packed| format!("{says}{SAYS}{OPEN}{packed}{CLOSE}")) {
        Some(text) if text.len() <= ROOM => (text, true),
        _ => (format!("{says}The plan has no room here.\n"), false),
    }
}

fn packed(plan: &Plan) -> Option<String> {
    let kept = Plan {
        changes: Vec::new(),
        other_files: Vec::new(),
        skipped_files: Vec::new(),
        ..plan.clone()
    };
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&serde_json::to_vec(&kept).ok()?).ok()?;
    Some(STANDARD.encode(packer.finish().ok()?))
}

/// The plan that a text keeps, if it is the one with this digest.
pub fn plan(text: &str, digest: &str) -> Option<Plan> {
    let text = text.replace("\r\n", "\n");
    let (_, after) = text.split_once(OPEN)?;
    let packed = STANDARD.decode(after.split_once('\n')?.0).ok()?;
    let mut bytes = Vec::new();
    DeflateDecoder::new(packed.as_slice()).take(LARGEST).read_to_end(&mut bytes).ok()?;
    let plan: Plan = serde_json::from_slice(&bytes).ok()?;
    (plan.digest == digest).then_some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_its_own_variants() {
        for (index, row) in MAKERS.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
            assert_eq!(maker(&format!("{}and more", row.1)), Some(row.0));
        }
        assert_eq!(maker("anything else"), None);
    }
}
