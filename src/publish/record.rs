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

/// The text that keeps a plan; none where it has no room.
pub fn text(plan: &Plan) -> Option<String> {
    let kept = Plan {
        changes: Vec::new(),
        other_files: Vec::new(),
        skipped_files: Vec::new(),
        ..plan.clone()
    };
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&serde_json::to_vec(&kept).ok()?).ok()?;
    let packed = STANDARD.encode(packer.finish().ok()?);
    let text = format!("{SAYS}{OPEN}{packed}{CLOSE}");
    (text.len() <= ROOM).then_some(text)
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
