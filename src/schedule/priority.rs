//! How soon tasks run: what clients are answered from first, then what most others wait for.

use std::collections::BTreeSet;

use super::build::Inputs;

/// What makes a config whose answers somebody waits for come first.
const ONLINE: u32 = 1000;

/// How soon the tasks of each config run: online ones first, then those that most wait for.
pub(super) struct Priorities(Vec<u32>);

impl Priorities {
    pub(super) fn of(inputs: &Inputs<'_>) -> Self {
        let all = 0..inputs.catalog.configs.len();
        Self(all.map(|index| priority(inputs, index)).collect())
    }

    pub(super) fn of_config(&self, index: usize) -> u32 {
        1 + self.0.get(index).copied().unwrap_or(0)
    }
}

/// Of all that waits for what a config writes, at any distance: how much there is, and whether
/// clients are answered from any of it.
fn priority(inputs: &Inputs<'_>, index: usize) -> u32 {
    let online = |at: usize| inputs.catalog.configs[at].facts.online;
    let (mut open, mut seen) = (vec![index], BTreeSet::from([index]));
    let mut served = online(index);
    while let Some(at) = open.pop() {
        for (reader, _) in inputs.lineage.readers(at) {
            if seen.insert(reader) {
                served |= online(reader);
                open.push(reader);
            }
        }
        // No answer beyond this one: a long chain is not walked to its end from each of its links.
        if served && seen.len() as u64 >= u64::from(ONLINE) {
            break;
        }
    }
    let waiting = u32::try_from(seen.len() - 1).unwrap_or(u32::MAX).min(ONLINE - 1);
    if served { ONLINE + waiting } else { waiting }
}
