//! A ledger of older rules, under today's.
//!
//! # Why
//! New rules make new fingerprints of the same content. If those were compared with the old ones,
//! an update of the tool would run every job again. So what was applied is fingerprinted again,
//! from the very files that were applied. A table that was read in an older state than it has now
//! stays different: that job is still owed.

use std::collections::BTreeMap;

use crate::impact;
use crate::model::ledger::Applied;
use crate::model::ledger::FINGERPRINT_VERSION;
use crate::model::ledger::Fingerprint;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::BlobId;
use crate::model::name::Resource;

/// Computes the own fingerprint of a resource from the file that was applied.
type Reprint<'a> = &'a dyn Fn(&Address, Resource, BlobId) -> Option<Fingerprint>;

/// The ledger with every fingerprint under today's rules. One whose file says nothing of the
/// resource any more keeps none, so that it is planned anew.
pub fn upgraded(
    mut ledger: Ledger,
    reprint: &dyn Fn(&Address, Resource, BlobId) -> Option<Fingerprint>,
) -> Ledger {
    let before = ledger.applied.clone();
    let mut done = BTreeMap::new();
    for key in before.keys() {
        print(&before, key, reprint, &mut done);
    }
    for (key, applied) in &mut ledger.applied {
        if let Some(new) = done.remove(key) {
            *applied = new;
        }
    }
    ledger
}

type Rows = BTreeMap<(Address, Resource), Applied>;

/// Adds the entry of a key under today's rules, after those of the tables that it read.
fn print(before: &Rows, key: &(Address, Resource), reprint: Reprint<'_>, done: &mut Rows) {
    let Some(old) = before.get(key).filter(|_| !done.contains_key(key)) else { return };
    let mut new = old.clone();
    // Entered first: a ledger that was tampered with may hold a cycle.
    done.insert(key.clone(), old.clone());
    if old.version != FINGERPRINT_VERSION {
        new.own = reprint(&key.0, key.1, old.blob).unwrap_or(Fingerprint([0; 32]));
        new.version = FINGERPRINT_VERSION;
        for (address, table) in &mut new.upstream {
            let upstream = (address.clone(), Resource::Table);
            print(before, &upstream, reprint, done);
            let current = before.get(&upstream).is_some_and(|it| it.fingerprint == *table);
            if let Some(now) = done.get(&upstream).filter(|_| current) {
                *table = now.fingerprint;
            }
        }
        let tables: Vec<(&Address, Fingerprint)> =
            new.upstream.iter().map(|it| (&it.0, it.1)).collect();
        new.fingerprint = impact::combined(&new.own, &tables);
    }
    done.insert(key.clone(), new);
}
