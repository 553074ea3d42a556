//! TABLE of warnings: everything that a plan tells beside its steps.

/// One kind of warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Clients that work now will not.
    OnlineBreaking,
    /// Old partitions keep old values.
    HistoryNotRewritten,
    /// A join's copy of a GroupBy is not the GroupBy.
    EmbeddedCopyDiffers,
    /// Two configs write to one place.
    NameCollision,
    /// Two streaming jobs have one label.
    JobLabelCollision,
    /// The tool does not know a field or a value.
    UnknownField,
    /// The Hub alone can deploy it.
    HubOnly,
    /// Another job computes it.
    ManualJob,
    /// Nobody says where a backfill starts.
    NoStartDate,
    /// There is no day to compute yet.
    EmptyRange,
    /// A table that is read loses its producer.
    ProducerRemoved,
    /// The CLI cannot take the path.
    PathNotRunnable,
}

/// Every code with its spelling and its meaning, worst first.
#[rustfmt::skip] // one code, one line
pub const CODES: [(Code, &str, &str); 12] = [
    (Code::OnlineBreaking, "online-breaking", "keys, accuracy, storage form or served columns change: clients that work now will not"),
    (Code::HistoryNotRewritten, "history-not-rewritten", "the job fills only missing partitions and cannot see this change: archive or drop the old table first, or history stays wrong"),
    (Code::EmbeddedCopyDiffers, "embedded-copy-differs", "a join's copy of a GroupBy is not the GroupBy of that commit: somebody forgot to recompile"),
    (Code::NameCollision, "name-collision", "two configs write one table or one dataset"),
    (Code::JobLabelCollision, "job-label-collision", "the labels of two streaming jobs are the same after truncation to 63 characters: deploying one cancels the other"),
    (Code::UnknownField, "unknown-field", "the tool does not know a field or a value, so it counts for every resource of its config"),
    (Code::HubOnly, "hub-only", "no mode of the CLI deploys models and model transforms: use the Hub"),
    (Code::ManualJob, "manual-job", "label tables and model outputs are computed by jobs that are no part of a plan"),
    (Code::NoStartDate, "no-start-date", "nothing says where the backfill starts: set `backfill.start` of the env"),
    (Code::EmptyRange, "empty-range", "the first day lies after the last: the step waits until there is a day to compute"),
    (Code::ProducerRemoved, "producer-removed", "a table that is still read loses the config that writes it"),
    (Code::PathNotRunnable, "path-not-runnable", "the CLI splits its commands at white space and cannot take this path"),
];

impl Code {
    /// As it is spelt in plans.
    pub fn name(self) -> &'static str {
        CODES[self as usize].1
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        CODES[self as usize].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_its_own_variants() {
        for (index, row) in CODES.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
        }
    }
}
