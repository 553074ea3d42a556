//! The order in which blobs are cheapest to unpack.
//!
//! # Why
//! A pack stores most objects as deltas of others. libgit2 keeps only a small cache of bases, so
//! asking for objects in the order of their names, or even of the pack, unpacks long chains again
//! and again. Here only the headers of objects are read, to learn which is whose base; asked for
//! base first and deltas right behind it, libgit2 finds every base at hand. An order can be slow
//! but never wrong: whatever is not understood here simply comes last.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;

use rustc_hash::FxHashMap;

use crate::model::name::BlobId;

/// How much of a pack is read at once: deltas of one base lie far apart.
const WINDOW: usize = 8 << 10;

/// Where the offsets of an index of version 2 begin, after its header and table of first bytes.
const NAMES: usize = 8 + 256 * 4;

/// Positions in `wanted`, each once: per pack, bases before their deltas; then everything else.
pub(super) fn cheapest_order(common_dir: &Path, wanted: &[BlobId]) -> Vec<usize> {
    let mut left: FxHashMap<BlobId, usize> =
        wanted.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut order = Vec::with_capacity(wanted.len());
    for index in indexes(common_dir) {
        let placed = Pack::open(&index).and_then(|pack| Forest::grow(&pack, &left));
        for at in placed.map(|forest| forest.depth_first()).unwrap_or_default() {
            left.remove(&wanted[at]);
            order.push(at);
        }
    }
    let mut rest: Vec<usize> = left.into_values().collect();
    rest.sort_unstable();
    order.extend(rest);
    order
}

/// The index files of the repository's packs and of those it borrows from, sorted.
fn indexes(common_dir: &Path) -> Vec<PathBuf> {
    let own = common_dir.join("objects");
    let borrowed = fs::read_to_string(own.join("info/alternates")).unwrap_or_default();
    let folders = std::iter::once(own.clone()).chain(borrowed.lines().map(|line| own.join(line)));
    let entries = folders.filter_map(|folder| fs::read_dir(folder.join("pack")).ok()).flatten();
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "idx"));
    found.sort();
    found
}

/// A pack and its index.
struct Pack {
    path: PathBuf,
    index: Vec<u8>,
    count: usize,
}

impl Pack {
    /// Opens a pack by its index; none where the index is of a kind that is not known here.
    fn open(index: &Path) -> Option<Self> {
        let path = index.with_extension("pack");
        let index = fs::read(index).ok()?;
        let count = usize::try_from(be32(&index, NAMES - 4)?).ok()?;
        index.starts_with(&[0xff, b't', b'O', b'c', 0, 0, 0, 2]).then_some(Self {
            path,
            index,
            count,
        })
    }

    /// Where an object begins.
    fn offset(&self, id: &[u8]) -> Option<u64> {
        let first = usize::from(*id.first()?);
        let bound = |at: usize| usize::try_from(be32(&self.index, 8 + at * 4)?).ok();
        let mut low = if first == 0 { 0 } else { bound(first - 1)? };
        let mut high = bound(first)?;
        while low < high {
            let middle = low.midpoint(high);
            match self.index.get(NAMES + middle * 20..)?.get(..20)?.cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.offset_at(middle),
            }
        }
        None
    }

    fn offset_at(&self, place: usize) -> Option<u64> {
        const LARGE: u32 = 0x8000_0000;
        let small = be32(&self.index, NAMES + self.count * 24 + place * 4)?;
        if small & LARGE == 0 {
            return Some(small.into());
        }
        let row = usize::try_from(small & !LARGE).ok()?;
        let at = NAMES + self.count * 28 + row * 8;
        Some((u64::from(be32(&self.index, at)?) << 32) | u64::from(be32(&self.index, at + 4)?))
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A part of a pack in memory.
struct Window {
    file: File,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn over(pack: &Pack) -> Option<Self> {
        Some(Self { file: File::open(&pack.path).ok()?, start: 0, bytes: Vec::new() })
    }

    /// The bytes from `at` on: at least `wanted`, fewer only at the end of the file.
    fn get(&mut self, at: u64, wanted: usize) -> Option<&[u8]> {
        let inside = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = inside.filter(|skip| skip + wanted <= self.bytes.len()) {
            return self.bytes.get(skip..);
        }
        self.file.seek(SeekFrom::Start(at)).ok()?;
        self.bytes.clear();
        (&mut self.file).take(WINDOW as u64).read_to_end(&mut self.bytes).ok()?;
        self.start = at;
        Some(&self.bytes)
    }
}

/// Where the object that another is a delta of begins; none for a whole object.
fn base_of(pack: &Pack, window: &mut Window, offset: u64) -> Option<Option<u64>> {
    let mut bytes = window.get(offset, 32)?.iter();
    let first = *bytes.next()?;
    let mut byte = first;
    while byte & 0x80 != 0 {
        byte = *bytes.next()?;
    }
    match (first >> 4) & 7 {
        3 => Some(None),
        // The distance back to the base.
        6 => {
            byte = *bytes.next()?;
            let mut back = u64::from(byte & 0x7f);
            while byte & 0x80 != 0 {
                byte = *bytes.next()?;
                back = (back + 1).checked_mul(128)? | u64::from(byte & 0x7f);
            }
            Some(Some(offset.checked_sub(back)?))
        }
        // The name of the base.
        7 => Some(Some(pack.offset(bytes.as_slice().get(..20)?)?)),
        _ => None,
    }
}

/// The wanted objects of a pack and the bases of their deltas.
struct Forest {
    /// The position in what was wanted, and the objects that are deltas of this one.
    nodes: Vec<(Option<usize>, Vec<usize>)>,
    roots: Vec<usize>,
}

impl Forest {
    fn grow(pack: &Pack, wanted: &FxHashMap<BlobId, usize>) -> Option<Self> {
        let mut window = Window::over(pack)?;
        let place = |(id, at): (&BlobId, &usize)| Some((pack.offset(&id.0)?, Some(*at)));
        let mut offsets: Vec<(u64, Option<usize>)> = wanted.iter().filter_map(place).collect();
        offsets.sort_unstable();
        let mut known: FxHashMap<u64, usize> =
            offsets.iter().enumerate().map(|(node, it)| (it.0, node)).collect();
        let mut forest = Self { nodes: Vec::with_capacity(offsets.len()), roots: Vec::new() };
        forest.nodes.extend(offsets.iter().map(|it| (it.1, Vec::new())));
        let mut node = 0;
        while node < offsets.len() {
            match base_of(pack, &mut window, offsets[node].0)? {
                None => forest.roots.push(node),
                Some(base) => {
                    let parent = *known.entry(base).or_insert_with(|| {
                        offsets.push((base, None));
                        forest.nodes.push((None, Vec::new()));
                        forest.nodes.len() - 1
                    });
                    forest.nodes[parent].1.push(node);
                }
            }
            node += 1;
        }
        Some(forest)
    }

    /// What was wanted, each base before its deltas.
    fn depth_first(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut open: Vec<usize> = self.roots.iter().rev().copied().collect();
        while let Some(node) = open.pop() {
            let (wanted, deltas) = &self.nodes[node];
            order.extend(wanted);
            open.extend(deltas.iter().rev());
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A repository whose packs hold chains of deltas, and the ids of its blobs.
    fn repository() -> (tempfile::TempDir, Vec<BlobId>) {
        let folder = tempfile::tempdir().unwrap();
        let git = git2::Repository::init_bare(folder.path()).unwrap();
        let mut builder = git.packbuilder().unwrap();
        let mut ids = Vec::new();
        for n in 0..200 {
            let lines: String =
                (0..60).map(|line| format!("line {line} of {}\n", n / 40)).collect();
            let id = git.blob(format!("{lines}{n}").as_bytes()).unwrap();
            builder.insert_object(id, Some("same")).unwrap();
            ids.push(BlobId(id.as_bytes().try_into().unwrap()));
        }
        builder.write(&folder.path().join("objects/pack"), 0).unwrap();
        (folder, ids)
    }

    #[test]
    fn every_blob_is_named_once_and_bases_come_first() {
        let (folder, ids) = repository();
        let order = cheapest_order(folder.path(), &ids);
        assert_eq!(order.iter().copied().collect::<BTreeSet<_>>().len(), ids.len());
        assert_eq!(order.len(), ids.len());
        let index = indexes(folder.path()).pop().unwrap();
        let pack = Pack::open(&index).unwrap();
        let mut window = Window::over(&pack).unwrap();
        let place: FxHashMap<u64, usize> = order
            .iter()
            .enumerate()
            .map(|(n, &at)| (pack.offset(&ids[at].0).unwrap(), n))
            .collect();
        let bases = ids.iter().filter_map(|id| {
            let offset = pack.offset(&id.0).unwrap();
            Some((offset, base_of(&pack, &mut window, offset).unwrap()?))
        });
        let bases: Vec<(u64, u64)> = bases.collect();
        assert!(bases.len() > 100, "the pack holds deltas");
        assert!(bases.iter().all(|(delta, base)| place[base] < place[delta]));
    }

    #[test]
    fn damaged_packs_change_the_order_and_nothing_else() {
        let (folder, ids) = repository();
        let index = indexes(folder.path()).pop().unwrap();
        for file in [index.clone(), index.with_extension("pack")] {
            let good = fs::read(&file).unwrap();
            let mut permissions = fs::metadata(&file).unwrap().permissions();
            #[expect(
                clippy::permissions_set_readonly_false,
                reason = "git writes packs read-only"
            )]
            permissions.set_readonly(false);
            fs::set_permissions(&file, permissions).unwrap();
            for at in (0..good.len()).step_by(97) {
                let mut bad = good.clone();
                bad[at] ^= 0x5a;
                fs::write(&file, bad).unwrap();
                let order = cheapest_order(folder.path(), &ids);
                assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), ids.len(), "byte {at}");
                assert_eq!(order.len(), ids.len(), "byte {at}");
            }
            fs::write(&file, &good[..good.len() / 2]).unwrap();
            assert_eq!(cheapest_order(folder.path(), &ids).len(), ids.len());
            fs::write(&file, good).unwrap();
        }
    }
}
