//! How soon tasks run: what clients are answered from first, then what most others wait for.

use std::collections::BTreeSet;

use super::build::Inputs;
use crate::model::lineage::Lineage;

/// What makes a config whose answers somebody waits for come first.
const ONLINE: u32 = 1000;

/// How soon the tasks of each config run: online ones first, then those that most wait for.
pub(super) struct Priorities(Vec<u32>);

impl Priorities {
    pub(super) fn of(inputs: &Inputs<'_>) -> Self {
        let all = inputs.catalog.configs.iter().enumerate();
        Self(
            all.map(|(index, config)| {
                let online = if config.facts.online { ONLINE } else { 0 };
                online + consumers(inputs.lineage, index).min(ONLINE - 1)
            })
            .collect(),
        )
    }

    pub(super) fn of_config(&self, index: usize) -> u32 {
        1 + self.0.get(index).copied().unwrap_or(0)
    }
}

/// How many configs wait for what a config writes, at any distance.
fn consumers(lineage: &Lineage, index: usize) -> u32 {
    let mut open = vec![index];
    let mut seen = BTreeSet::from([index]);
    while let Some(at) = open.pop() {
        let next = lineage.readers(at).map(|it| it.0).filter(|it| seen.insert(*it));
        open.extend(next.collect::<Vec<_>>());
    }
    u32::try_from(seen.len() - 1).unwrap_or(u32::MAX)
}
