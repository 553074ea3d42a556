//! Documents as JSON, indented, with one line end.

use serde::Serialize;

/// The JSON of a document.
///
/// # Errors
/// Where a document cannot be written as JSON, which none of this program's can.
pub fn pretty(document: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}
