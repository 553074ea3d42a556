//! Reading very many blobs quickly.
//!
//! # Why
//! libgit2 reads one blob several times slower than git does. Two things win that back: asking
//! for blobs in an order in which the bases of deltas are still at hand, and doing so on every
//! core.

use std::sync::Mutex;

use git2::Odb;
use git2::Oid;
use git2::Repository;

use crate::model::name::BlobId;

/// Below this many blobs, finding the order costs more than it gives.
const WORTH_SORTING: usize = 256;

/// How many blobs one core takes at a time.
const BATCH: usize = 512;

/// Reads blobs and hands each to `each`, with its position; gives back what `each` made of them,
/// in the order of `wanted`. A blob that git does not have gives none.
///
/// # Errors
/// Where the object database cannot be opened.
pub(super) fn read_each<T: Send>(
    git: &Repository,
    wanted: &[BlobId],
    each: impl Fn(usize, &[u8]) -> T + Sync,
) -> Result<Vec<Option<T>>, git2::Error> {
    let order = if wanted.len() < WORTH_SORTING {
        (0..wanted.len()).collect()
    } else {
        super::packs::cheapest_order(git.commondir(), wanted)
    };
    on_all_cores(git, &order, BATCH, |odb, at| Some(each(at, blob(odb, wanted[at])?.data())))
}

/// Does `work` for every position of `order` on all cores, each with an object database of its
/// own; gives back what it made, sorted by position.
///
/// # Errors
/// Where the object database cannot be opened.
pub(super) fn on_all_cores<T: Send>(
    git: &Repository,
    order: &[usize],
    batch: usize,
    work: impl Fn(&Odb<'_>, usize) -> Option<T> + Sync,
) -> Result<Vec<Option<T>>, git2::Error> {
    let batches = Mutex::new(order.chunks(batch));
    let results = Mutex::new(Vec::with_capacity(order.len()));
    let run = |odb: &Odb<'_>| {
        while let Some(batch) = lock(&batches).next() {
            let made: Vec<(usize, T)> =
                batch.iter().filter_map(|&at| Some((at, work(odb, at)?))).collect();
            lock(&results).extend(made);
        }
    };
    // A repository cannot be shared by threads; this one serves the first.
    let path = git.path();
    let run_alone = || Repository::open(path)?.odb().map(|odb| run(&odb));
    std::thread::scope(|scope| {
        let threads = cores().min(order.len().div_ceil(batch)).max(1);
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run_alone)).collect();
        let mut outcome = git.odb().map(|odb| run(&odb));
        for thread in others {
            let joined = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(joined);
        }
        outcome
    })?;
    let mut sorted: Vec<Option<T>> = order.iter().map(|_| None).collect();
    for (at, made) in results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        sorted[at] = Some(made);
    }
    Ok(sorted)
}

/// How many threads are worth their while.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One blob, if git has it.
pub(super) fn blob<'a>(odb: &'a Odb<'_>, id: BlobId) -> Option<git2::OdbObject<'a>> {
    odb.read(Oid::from_bytes(&id.0).ok()?).ok()
}
