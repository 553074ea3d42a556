//! What head leaves behind outside the repository, and how to remove it.
//!
//! # Why
//! Nothing of Chronon ever cleans up (reference §8.14), and neither does a plan: it says what is
//! left and with which command it would go. Values of env settings are never printed, so the
//! commands name the variables that hold them.

use super::Inputs;
use super::contract::Orphan;
use super::needed::View;
use crate::model::catalog::Config;
use crate::model::ledger::Applied;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::Dialect;
use crate::model::name::Resource;

/// The resources that were applied and that head has no more, sorted. Without a ledger, base
/// counts as applied.
pub(super) fn orphans(inputs: &Inputs<'_>, base: View<'_>, head: View<'_>) -> Vec<Orphan> {
    let mut orphans = match inputs.ledger {
        Some(ledger) => of_ledger(inputs, ledger, base, head),
        None => of_base(inputs, base, head),
    };
    orphans
        .sort_by(|a, b| (&a.config, &a.resource, &a.what).cmp(&(&b.config, &b.resource, &b.what)));
    orphans
}

fn of_base(inputs: &Inputs<'_>, base: View<'_>, head: View<'_>) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for address in inputs.evaluated {
        let kept = head.resources(address);
        let Some(index) = base.index(address) else { continue };
        let config = base.config(index);
        for resource in base.resources(address) {
            if !kept.contains(&resource) {
                orphans.push(orphan(base.catalog.dialect, config, resource, None));
            } else if resource == Resource::Table {
                orphans.extend(moved_table(config, head));
            }
        }
    }
    orphans
}

fn of_ledger<'a>(
    inputs: &'a Inputs<'_>,
    ledger: &Ledger,
    base: View<'a>,
    head: View<'a>,
) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    let rows = inputs.evaluated.iter().flat_map(|it| ledger.of(it).map(move |row| (it, row)));
    for (address, (resource, applied)) in rows {
        let same = |view: View<'a>| {
            let config = view.config(view.index(address)?);
            (config.blob == applied.blob).then_some(config)
        };
        let earlier = || Some(&inputs.earlier(address, resource)?.config);
        let config = same(head).or_else(|| same(base)).or_else(earlier);
        let kept = head.resources(address).contains(&resource);
        match config {
            Some(config) if kept && resource == Resource::Table => {
                orphans.extend(moved_table(config, head));
            }
            _ if kept => {}
            Some(config) => {
                let job = applied.job.as_deref();
                orphans.push(orphan(base.catalog.dialect, config, resource, job));
            }
            None => orphans.push(nameless(address, resource, applied)),
        }
    }
    orphans
}

/// What is left of a config whose file is in no commit that is at hand.
fn nameless(address: &Address, resource: Resource, applied: &Applied) -> Orphan {
    let name = resource.name();
    let commit = applied.commit.short();
    Orphan {
        config: address.clone(),
        resource: name.to_owned(),
        what: format!("the {name} of a config that was last applied from commit {commit}"),
        remove_with: Vec::new(),
    }
}

/// The old table of a config that writes to another one now.
fn moved_table(before: &Config, head: View<'_>) -> Option<Orphan> {
    let index = head.index(&before.address)?;
    let kept = head.resources_at(index).contains(&Resource::Table);
    let after = head.config(index).output_table().filter(|_| kept)?;
    let before_table = before.output_table()?;
    (before_table != after).then(|| Orphan {
        config: before.address.clone(),
        resource: Resource::Table.name().to_owned(),
        what: format!("table {before_table}, now {after}"),
        remove_with: vec![drop_table(before_table)],
    })
}

/// What is left of a resource, and how it would go; `job` where it is known by more than its label.
fn orphan(dialect: Dialect, config: &Config, resource: Resource, job: Option<&str>) -> Orphan {
    let zip = dialect == Dialect::Zip;
    let table = config.output_table().unwrap_or_default();
    let own_tools = if zip { "" } else { "; your store's own tools remove it" };
    let (what, remove_with) = match resource {
        Resource::Table => (format!("table {table}"), vec![drop_table(table)]),
        Resource::Kv => {
            let dataset = config.batch_dataset();
            let remove = drop_rows("GROUPBY_BATCH", &format!("{dataset}#"));
            (
                format!("KV dataset {dataset}{own_tools}"),
                if zip { vec![remove] } else { Vec::new() },
            )
        }
        Resource::Stream => {
            let label = config.job_label();
            let dataset = config.batch_dataset().replace("_BATCH", "_STREAMING");
            let stop = job.map_or_else(|| stop_labelled(&label), stop_job);
            let mut remove = vec![stop, drop_rows("GROUPBY_STREAMING", &format!("{dataset}#"))];
            let known = job.map(|job| format!(" ({job})")).unwrap_or_default();
            let what = match zip {
                true => format!("streaming job labelled {label}{known}, KV dataset {dataset}"),
                false => {
                    remove.clear();
                    format!(
                        "streaming job of {}, KV dataset {dataset}{own_tools}",
                        config.address.name
                    )
                }
            };
            (what, remove)
        }
        Resource::Metadata => {
            let key = format!("{}/{}", config.address.kind.dir(), config.address.name);
            let remove = drop_rows("CHRONON_METADATA", &format!("CHRONON_METADATA#{key}"));
            (format!("KV metadata {key}{own_tools}"), if zip { vec![remove] } else { Vec::new() })
        }
        Resource::Consistency => {
            let tables = ["logged", "comparison", "consistency"].map(|it| format!("{table}_{it}"));
            let remove = tables.iter().map(|table| drop_table(table)).collect();
            (format!("tables {}", tables.join(", ")), remove)
        }
    };
    Orphan {
        config: config.address.clone(),
        resource: resource.name().to_owned(),
        what,
        remove_with,
    }
}

/// A word of a shell command, whatever is in it.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn drop_table(table: &str) -> String {
    let name: Vec<String> =
        table.split('.').map(|part| format!("`{}`", part.replace('`', "``"))).collect();
    format!("spark-sql -e {}", quote(&format!("DROP TABLE IF EXISTS {}", name.join("."))))
}

/// Stops a Flink job on Dataproc by the id that the ledger kept.
fn stop_job(job: &str) -> String {
    format!(
        "gcloud dataproc jobs kill {} --quiet --project=\"$GCP_PROJECT_ID\" --region=\"$GCP_REGION\"",
        quote(job)
    )
}

/// Stops a Flink job on Dataproc, found by its label.
fn stop_labelled(label: &str) -> String {
    let filter = quote(&format!("status.state=ACTIVE AND labels.metadata-name={label}"));
    format!(
        "gcloud dataproc jobs list --project=\"$GCP_PROJECT_ID\" --region=\"$GCP_REGION\" --filter={filter} --format='value(reference.jobId)' | xargs -r -n1 gcloud dataproc jobs kill --quiet --project=\"$GCP_PROJECT_ID\" --region=\"$GCP_REGION\""
    )
}

/// Removes the rows of one dataset from the Bigtable table that all datasets of a kind share.
fn drop_rows(table: &str, prefix: &str) -> String {
    format!(
        "curl -fsS -X POST -H \"Authorization: Bearer $(gcloud auth print-access-token)\" -H 'Content-Type: application/json' -d \"{{\\\"rowKeyPrefix\\\":\\\"$(printf %s {} | base64 -w0)\\\"}}\" \"https://bigtableadmin.googleapis.com/v2/projects/$GCP_PROJECT_ID/instances/$GCP_BIGTABLE_INSTANCE_ID/tables/{table}:dropRowRange\"",
        quote(prefix)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_one_word() {
        assert_eq!(
            drop_table("a.b'; rm -rf /"),
            r"spark-sql -e 'DROP TABLE IF EXISTS `a`.`b'\''; rm -rf /`'"
        );
    }
}
