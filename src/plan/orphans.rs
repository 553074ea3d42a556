//! What head leaves behind outside the repository, and how to remove it.
//!
//! # Why
//! Nothing of Chronon ever cleans up (reference §8.14), and neither does a plan: it says what is
//! left and with which command it would go. Values of env settings are never printed, so the
//! commands name the variables that hold them.

use super::Inputs;
use super::contract::Orphan;
use super::needed::Needs;
use super::needed::View;
use crate::model::catalog::Config;
use crate::model::name::Address;
use crate::model::name::Dialect;
use crate::model::name::Resource;

/// The resources that base or the ledger has and head has not, sorted.
pub(super) fn orphans(
    inputs: &Inputs<'_>,
    base: View<'_>,
    head: View<'_>,
    needs: &Needs,
) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for address in &needs.evaluated {
        let kept = head.resources(address);
        let Some(index) = base.index(address) else { continue };
        let config = base.config(index);
        for resource in base.resources(address) {
            if !kept.contains(&resource) {
                orphans.push(orphan(base.catalog.dialect, config, resource));
            }
        }
        orphans.extend(moved_table(base, head, address));
    }
    for (address, resource) in inputs.ledger.iter().flat_map(|ledger| ledger.applied.keys()) {
        let listed = |it: &Orphan| it.config == *address && it.resource == resource.name();
        if !head.resources(address).contains(resource) && !orphans.iter().any(listed) {
            orphans.push(Orphan {
                config: address.clone(),
                resource: resource.name().to_owned(),
                what: format!("the {} of a config that neither commit has", resource.name()),
                remove_with: Vec::new(),
            });
        }
    }
    orphans
        .sort_by(|a, b| (&a.config, &a.resource, &a.what).cmp(&(&b.config, &b.resource, &b.what)));
    orphans
}

/// The table that a config keeps.
fn table_of<'a>(view: View<'a>, address: &Address) -> Option<&'a str> {
    let index = view.index(address)?;
    let kept = view.resources_at(index).contains(&Resource::Table);
    view.config(index).output_table().filter(|_| kept)
}

/// The old table of a config that writes to another one now.
fn moved_table(base: View<'_>, head: View<'_>, address: &Address) -> Option<Orphan> {
    let (before, after) = (table_of(base, address)?, table_of(head, address)?);
    (before != after).then(|| Orphan {
        config: address.clone(),
        resource: Resource::Table.name().to_owned(),
        what: format!("table {before}, now {after}"),
        remove_with: vec![drop_table(before)],
    })
}

fn orphan(dialect: Dialect, config: &Config, resource: Resource) -> Orphan {
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
            let mut remove =
                vec![kill_job(&label), drop_rows("GROUPBY_STREAMING", &format!("{dataset}#"))];
            let what = match zip {
                true => format!("streaming job labelled {label}, KV dataset {dataset}"),
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

/// Stops a Flink job on Dataproc, found by its label.
fn kill_job(label: &str) -> String {
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
