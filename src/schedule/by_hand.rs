//! What may be run of each config over days that somebody names: by a person, or by an apply.

use std::collections::BTreeMap;

use super::build::Inputs;
use super::commands::proof;
use super::jobs;
use super::jobs::team_of;
use super::spec;
use super::waits;
use crate::model::resource::resources;
use crate::plan::argv;
use crate::plan::argv::Span;
use crate::plan::modes;

/// What may be run of each config: every mode of what it keeps, over days that somebody names.
pub(super) fn by_hand(inputs: &Inputs<'_>) -> BTreeMap<String, spec::Jobs> {
    let Inputs { catalog, lineage, settings, .. } = *inputs;
    let mut jobs = BTreeMap::new();
    for (index, config) in catalog.configs.iter().enumerate() {
        if !waits::has_jobs(config.address.kind) {
            continue;
        }
        let (mut commands, mut minutes) = (BTreeMap::new(), BTreeMap::new());
        for resource in resources(catalog, lineage, index) {
            for mode in modes::of(resource, config.address.kind, catalog.dialect) {
                let argv = argv::scheduled(catalog.dialect, settings, config, mode, Span::Bounded);
                let Some(argv) = argv else { continue };
                commands.insert(mode.name.to_owned(), argv);
                minutes.insert(mode.name.to_owned(), settings.timeout(mode));
            }
        }
        if commands.is_empty() {
            continue;
        }
        jobs.insert(
            config.path.clone(),
            spec::Jobs {
                config: config.address.clone(),
                team: team_of(config),
                grid: jobs::grid_of(config),
                modes: commands,
                minutes,
                proof: proof(inputs, ""),
            },
        );
    }
    jobs
}
