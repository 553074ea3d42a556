//! Which resources a config has (design table of resources).

use super::catalog::Catalog;
use super::lineage::Lineage;
use super::name::ConfigType;
use super::name::Dialect;
use super::name::Resource;

/// The resources that the config at `index` keeps alive, sorted.
pub fn resources(catalog: &Catalog, lineage: &Lineage, index: usize) -> Vec<Resource> {
    let config = &catalog.configs[index];
    let facts = &config.facts;
    let scheduled = facts.offline_schedule.as_deref() != Some("@never");
    let read = || lineage.readers(index).next().is_some();
    let table = match (config.address.kind, catalog.dialect) {
        (ConfigType::GroupBy, Dialect::Oss) => facts.start_text.is_some() || read(),
        (ConfigType::GroupBy, Dialect::Zip) => {
            (facts.offline_schedule.is_some() && scheduled) || read()
        }
        (ConfigType::Join | ConfigType::StagingQuery, _) => scheduled,
        (ConfigType::Model | ConfigType::ModelTransforms | ConfigType::Team, _) => false,
    };
    let group_by = config.address.kind == ConfigType::GroupBy;
    let join = config.address.kind == ConfigType::Join;
    let online = facts.online && (group_by || join);
    let all = [
        (Resource::Consistency, online && join && facts.consistency),
        (Resource::Kv, online && group_by),
        (Resource::Metadata, online),
        (Resource::Stream, online && group_by && facts.temporal && facts.topic),
        (Resource::Table, table),
    ];
    all.into_iter().filter(|row| row.1).map(|row| row.0).collect()
}
