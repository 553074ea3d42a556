//! Gathers the warnings of a plan.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::Inputs;
use super::contract::Step as PlannedStep;
use super::contract::Warning;
use super::needed::Needs;
use super::needed::View;
use super::steps::Note;
use super::warning::Code;
use crate::diff::Change;
use crate::diff::ChangeKind;
use crate::diff::FieldChange;
use crate::impact::Verdict;
use crate::impact::rules::Breaks;
use crate::impact::rules::Says;
use crate::model::facts::PartRole;
use crate::model::lineage::EdgeKind;
use crate::model::lineage::embedded;
use crate::model::name::Address;
use crate::model::name::ConfigType;
use crate::model::name::Resource;
use crate::model::name::sanitize;
use crate::model::path::FieldPath;
use crate::model::path::Step;

/// Every warning, worst code first, then by config.
pub(super) fn warnings(
    inputs: &Inputs<'_>,
    base: View<'_>,
    head: View<'_>,
    needs: &Needs,
    steps: &[PlannedStep],
    notes: &[Note],
) -> Vec<Warning> {
    let mut all: Vec<(Code, Warning)> = Vec::new();
    let mut add = |code: Code,
                   config: &Address,
                   field: Option<String>,
                   text: String,
                   affects: Vec<Address>| {
        let warning =
            Warning { code: code.name().to_owned(), config: config.clone(), field, text, affects };
        if !all.iter().any(|it| it.1 == warning) {
            all.push((code, warning));
        }
    };
    for (change, verdict) in inputs.changes {
        let online = is_online(base, &change.address);
        for (field, text) in breaking(inputs, base, change, verdict, online) {
            let mut hit = joins_of(base, &change.address);
            hit.extend(joins_of(head, &change.address));
            add(Code::OnlineBreaking, &change.address, field, text, hit.into_iter().collect());
        }
        for (code, field, text) in said(change, verdict) {
            add(code, &change.address, field, text, Vec::new());
        }
        for (path, what) in &verdict.unknown {
            let text = format!("{what}: it counts for every resource of its config");
            add(Code::UnknownField, &change.address, Some(path.to_string()), text, Vec::new());
        }
    }
    // What was merged and not applied yet breaks clients when it is.
    for (online, change, verdict) in pending(inputs, steps) {
        for (field, text) in breaking(inputs, base, change, verdict, online) {
            let hit = joins_of(head, &change.address).into_iter().collect();
            add(Code::OnlineBreaking, &change.address, field, text, hit);
        }
    }
    for note in notes {
        let planned =
            steps.iter().any(|step| step.config == note.config) || note.code == Code::EmptyRange;
        if planned {
            let affects = history_readers(head, note);
            add(note.code, &note.config, note.field.clone(), note.text.clone(), affects);
        }
    }
    for copy in inputs.stale_copies {
        add(Code::EmbeddedCopyDiffers, &copy.join, None, copy.text(), vec![copy.group_by.clone()]);
    }
    for (reader, producer, table) in &needs.abandoned {
        let text = format!("reads `{table}`, which {producer} no longer writes: it stays as it is");
        add(Code::ProducerRemoved, reader, None, text, vec![producer.clone()]);
    }
    let changed: BTreeSet<&Address> = inputs.changes.iter().map(|it| &it.0.address).collect();
    for (code, config, what, other) in collisions(head, Some(&changed)) {
        // Told of the one that changed; of two, of the later one.
        let told = if changed.contains(&config) { (config, other) } else { (other, config) };
        if changed.contains(&told.0) {
            let text = format!("{what} is also that of {}", told.1);
            add(code, &told.0, None, text, vec![told.1]);
        }
    }
    all.sort_by(|a, b| {
        (a.0, &a.1.config, &a.1.field, &a.1.text).cmp(&(b.0, &b.1.config, &b.1.field, &b.1.text))
    });
    all.into_iter().map(|it| it.1).collect()
}

/// What head changes of configs as they were applied, where that is not what base says, and a step
/// is about to bring it; and whether the config was online as it was applied, for that is what its
/// clients have.
fn pending<'a>(
    inputs: &'a Inputs<'_>,
    steps: &'a [PlannedStep],
) -> impl Iterator<Item = (bool, &'a Change, &'a Verdict)> {
    let planned: BTreeSet<&Address> = steps.iter().map(|it| &it.config).collect();
    let earlier = inputs.earlier.values();
    earlier.filter(move |it| planned.contains(&it.config.address)).filter_map(|it| {
        it.change.as_ref().map(|found| (it.config.facts.online, &found.0, &found.1))
    })
}

fn is_online(view: View<'_>, address: &Address) -> bool {
    view.index(address).is_some_and(|index| view.config(index).facts.online)
}

/// The online joins that serve a GroupBy, or the join itself.
fn joins_of(view: View<'_>, address: &Address) -> BTreeSet<Address> {
    let Some(index) = view.index(address).filter(|_| address.kind == ConfigType::GroupBy) else {
        return BTreeSet::new();
    };
    let serves = |join: &usize| {
        let embeds =
            view.lineage.upstream(*join).iter().any(|edge| {
                edge.upstream == index && edge.kind == EdgeKind::Embeds(PartRole::Part)
            });
        embeds && view.config(*join).facts.online
    };
    let joins = view.lineage.downstream(index).iter().copied().filter(serves);
    joins.map(|join| view.config(join).address.clone()).collect()
}

fn history_readers(head: View<'_>, note: &Note) -> Vec<Address> {
    let index = head.index(&note.config).filter(|_| note.code == Code::HistoryNotRewritten);
    let readers = index.into_iter().flat_map(|index| head.lineage.readers(index));
    let found: BTreeSet<Address> = readers.map(|it| head.config(it.0).address.clone()).collect();
    found.into_iter().collect()
}

/// What of a change breaks the clients of what was online: the field and the sentence.
fn breaking(
    inputs: &Inputs<'_>,
    base: View<'_>,
    change: &Change,
    verdict: &Verdict,
    online: bool,
) -> Vec<(Option<String>, String)> {
    if change.kind != ChangeKind::Modified || !online {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut values = None;
    for (field, verdict) in change.fields.iter().zip(&verdict.fields) {
        let path = field.path.to_string();
        let rule = verdict.rule.map(|rule| (rule.breaks, rule.because));
        let text = match rule {
            _ if path == "metaData.online" => Some("it is no longer served"),
            _ if told_by_part(inputs, base, &field.path) => None,
            Some((Breaks::Values, _)) if verdict.breaks => Some("values are cast to another type"),
            Some((_, because)) if verdict.breaks => Some(because),
            _ => None,
        };
        found.extend(text.map(|text| (Some(path.clone()), text.to_owned())));
        if rule.is_some_and(|rule| rule.0 == Breaks::Values) && values.is_none() {
            values = Some(path);
        }
    }
    let lost = change.columns.lost_online.iter();
    let lost: BTreeSet<&String> = lost.filter(|it| !explained(inputs, base, change, it)).collect();
    found.extend(lost_columns(change, &lost).map(|text| (values.clone(), text)));
    if !change.columns.new_keys.is_empty() && !rekeyed(inputs, base, change) {
        let keys = change.columns.new_keys.join("`, `");
        found.push((values, format!("requests must name `{keys}` too")));
    }
    found
}

/// Whether a field of a join stands in its copy of an online GroupBy that changed itself, and is
/// told there.
fn told_by_part(inputs: &Inputs<'_>, base: View<'_>, path: &FieldPath) -> bool {
    let [Step::Field(list), Step::Item(part), Step::Field(copy), ..] = path.0.as_slice() else {
        return false;
    };
    // A label is the name, and the prefix where there is one.
    let names = [part.as_str(), part.rsplit_once(' ').map_or("", |split| split.0)];
    let changed = |name: &&str| changed_online(inputs, base, name).is_some();
    list == "joinParts" && copy == "groupBy" && names.iter().any(changed)
}

/// The change of an online GroupBy of this name, if it has one.
fn changed_online<'a>(inputs: &'a Inputs<'_>, base: View<'_>, name: &str) -> Option<&'a Change> {
    let group_by = Address::new(ConfigType::GroupBy, name);
    let change = inputs.change(&group_by).map(|it| &it.0);
    change.filter(|it| is_online(base, &group_by) && it.kind == ChangeKind::Modified)
}

/// The sentence about columns that are no longer served as they were.
fn lost_columns(change: &Change, lost: &BTreeSet<&String>) -> Option<String> {
    let renamed: BTreeMap<&String, &String> =
        change.columns.renamed.iter().map(|it| (&it.0, &it.1)).collect();
    let gone: Vec<String> =
        lost.iter().filter(|it| !renamed.contains_key(*it)).map(|it| format!("`{it}`")).collect();
    let moved = lost.iter().filter_map(|it| Some((it, renamed.get(*it)?)));
    let mut parts: Vec<String> =
        moved.map(|(from, to)| format!("`{from}` is served as `{to}`")).collect();
    match gone.as_slice() {
        [] => {}
        [one] => parts.push(format!("{one} is no longer served")),
        many => parts.push(format!("{} are no longer served", many.join(", "))),
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Whether a column that a join lost is one that an embedded GroupBy lost, which is told there.
fn explained(inputs: &Inputs<'_>, base: View<'_>, change: &Change, column: &str) -> bool {
    let Some(index) = base.index(&change.address) else { return false };
    if rekeyed(inputs, base, change) {
        return true;
    }
    let mut parts = embedded(base.config(index), PartRole::Part);
    change.address.kind == ConfigType::Join
        && parts.any(|part| {
            let lost = changed_online(inputs, base, &part.name).map(|it| &it.columns.lost_online);
            lost.is_some_and(|lost| lost.iter().any(|it| column.ends_with(&format!("_{it}"))))
        })
}

/// Whether an online GroupBy of a join has other keys, which is told there.
fn rekeyed(inputs: &Inputs<'_>, base: View<'_>, change: &Change) -> bool {
    let Some(index) = base.index(&change.address) else { return false };
    let keys = |field: &FieldChange| matches!(field.path.0.first(), Some(Step::Field(name)) if name == "keyColumns");
    embedded(base.config(index), PartRole::Part).any(|part| {
        let changed = changed_online(inputs, base, &part.name);
        changed.is_some_and(|it| it.fields.iter().any(keys))
    })
}

/// What rules say beside the jobs, once per config.
fn said(change: &Change, verdict: &Verdict) -> Vec<(Code, Option<String>, String)> {
    let mut found: Vec<(Code, Option<String>, String)> = Vec::new();
    let code = |says: Says| match says {
        Says::Nothing => None,
        Says::HubOnly => Some(Code::HubOnly),
        Says::ManualJob => Some(Code::ManualJob),
    };
    let models = [ConfigType::Model, ConfigType::ModelTransforms];
    if change.kind != ChangeKind::Modified && models.contains(&change.address.kind) {
        let word = change.address.kind.word();
        found.push((
            Code::HubOnly,
            None,
            format!("{word} {}: deployed by the Hub alone", verb(change.kind)),
        ));
        return found;
    }
    for (field, verdict) in change.fields.iter().zip(&verdict.fields) {
        let Some(code) = code(verdict.says()) else { continue };
        if !found.iter().any(|it| it.0 == code) {
            let text = verdict.rule.map_or("", |rule| rule.because).to_owned();
            found.push((code, Some(field.path.to_string()), text));
        }
    }
    found
}

fn verb(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Modified => "changed",
        ChangeKind::VersionBump => "has a new version",
        ChangeKind::Renamed => "renamed",
    }
}

/// Configs that write to one place, or run under one label: the later one, the place, the
/// earlier one. With `among`, those are found that one of them shares a place with.
pub(super) fn collisions(
    view: View<'_>,
    among: Option<&BTreeSet<&Address>>,
) -> Vec<(Code, Address, String, Address)> {
    let has = |index: usize, resource| view.resources_at(index).contains(&resource);
    let mut found = Vec::new();
    let mut add = |code, what: String, first: usize, other: usize| {
        let (first, other) = (&view.config(first).address, &view.config(other).address);
        found.push((code, other.clone(), what, first.clone()));
    };
    for &(first, other) in view.lineage.same_table() {
        if has(first, Resource::Table) && has(other, Resource::Table) {
            let table = view.config(other).output_table().unwrap_or_default();
            add(Code::NameCollision, format!("table {table}"), first, other);
        }
    }
    for (place, configs) in shared_places(view, among) {
        let [first, others @ ..] = configs.as_slice() else { continue };
        for other in others.iter().filter(|it| *it != first) {
            let (code, what, resource) = match &place {
                Place::Dataset(name) => {
                    (Code::NameCollision, format!("KV dataset {name}"), Resource::Kv)
                }
                Place::Label(name) => {
                    (Code::JobLabelCollision, format!("job label {name}"), Resource::Stream)
                }
            };
            if has(*first, resource) && has(*other, resource) {
                add(code, what, *first, *other);
            }
        }
    }
    found
}

/// Something outside the repository that is found by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Dataset(String),
    Label(String),
}

/// The places that several online GroupBys have, each with those.
fn shared_places(
    view: View<'_>,
    among: Option<&BTreeSet<&Address>>,
) -> BTreeMap<Place, Vec<usize>> {
    // Equal places have equal lengths, which spares nearly every other config a closer look.
    let length = |address: &Address| address.name.chars().count();
    let lengths: Option<BTreeSet<usize>> =
        among.map(|among| among.iter().map(|address| length(address)).collect());
    let mut names: HashMap<String, Vec<usize>> = HashMap::new();
    let mut places: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
    for (index, config) in view.catalog.configs.iter().enumerate() {
        let online = config.facts.online && config.address.kind == ConfigType::GroupBy;
        let near = || lengths.as_ref().is_none_or(|it| it.contains(&length(&config.address)));
        if online && near() {
            names.entry(sanitize(&config.address.name).to_lowercase()).or_default().push(index);
        }
        if online && config.address.name.len() > LABEL {
            for label in cut_labels(&config.address.name) {
                places.entry(Place::Label(label)).or_default().push(index);
            }
        }
    }
    for index in names.into_values().filter(|it| it.len() > 1).flatten() {
        let config = view.config(index);
        places.entry(Place::Dataset(config.batch_dataset())).or_default().push(index);
        if config.address.name.len() <= LABEL {
            places.entry(Place::Label(config.job_label())).or_default().push(index);
        }
    }
    places.retain(|_, configs| configs.len() > 1);
    places.values_mut().for_each(|configs| configs.sort_unstable());
    places
}

/// How much of a name a label keeps.
const LABEL: usize = 63;

/// What may be left of a long name in a job's label: releases differ in which end they cut off.
fn cut_labels(name: &str) -> [String; 2] {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let label: Vec<char> =
        name.to_lowercase().chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let cut = label.len().min(LABEL);
    let text = |part: &[char]| part.iter().collect::<String>();
    [text(&label[..cut]) + "…", "…".to_owned() + &text(&label[label.len() - cut..])]
}
