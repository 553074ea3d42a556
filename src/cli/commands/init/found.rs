//! What `init` finds in a repository: its compiled roots, its default branch, its settings.

use std::path::Path;
use std::path::PathBuf;

use super::super::super::failure::Failure;
use crate::model::name::ConfigType;
use crate::plan::settings;
use crate::plan::settings::Settings;
use crate::source::ROOT_DEPTH;
use crate::source::ROOT_NAMES;
use crate::source::Repository;

/// What there is.
pub(super) struct Found {
    /// The top of the work tree.
    pub(super) top: PathBuf,
    /// The compiled roots of HEAD and of the work tree, from the repository's top.
    pub(super) roots: Vec<String>,
    /// The default branch; `main` where nothing says.
    pub(super) branch: String,
    /// The settings that the work tree has already.
    pub(super) settings: Option<Settings>,
}

impl Found {
    /// Looks at the repository that `folder` lies in.
    pub(super) fn look(folder: &Path) -> Result<Self, Failure> {
        let repository = Repository::open(folder).map_err(|error| {
            Failure::from(error).hint("or make one: `git init`, then run it again")
        })?;
        let Some(top) = repository.top().map(Path::to_owned) else {
            return Err(Failure::new("a bare repository has no files to write")
                .hint("run it in a clone of it: `git clone`"));
        };
        let mut roots = match repository.revision("HEAD") {
            Ok(head) => repository.roots(&head.commit)?,
            // Nothing is committed yet.
            Err(_) => Vec::new(),
        };
        for root in roots_of_folder(&top) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let branch = repository.default_branch().unwrap_or_else(|| "main".to_owned());
        let branch = branch.strip_prefix("origin/").unwrap_or(&branch).to_owned();
        let settings = read_settings(&top)?;
        Ok(Self { top, roots, branch, settings })
    }
}

fn read_settings(top: &Path) -> Result<Option<Settings>, Failure> {
    let file = top.join(settings::FILE);
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    let read = settings::read(&text);
    read.map(Some).map_err(|mistakes| Failure::settings(settings::FILE, &mistakes))
}

/// The compiled roots of a work tree, as a commit has them: those at the top, else those below.
fn roots_of_folder(top: &Path) -> Vec<String> {
    let mut level = vec![String::new()];
    for _ in 0..ROOT_DEPTH {
        let mut found = Vec::new();
        let mut below = Vec::new();
        for folder in &level {
            for name in folders(&top.join(folder)) {
                let path =
                    if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let rank = ROOT_NAMES.iter().position(|known| *known == name);
                match rank.filter(|_| holds_configs(&top.join(&path))) {
                    Some(rank) => found.push((rank, path)),
                    None => below.push(path),
                }
            }
        }
        if !found.is_empty() {
            found.sort();
            return found.into_iter().map(|root| root.1).collect();
        }
        level = below;
    }
    Vec::new()
}

fn holds_configs(folder: &Path) -> bool {
    folders(folder).iter().any(|name| ConfigType::of_dir(name).is_some())
}

/// The folders in a folder, but hidden ones and links; none where it cannot be read.
fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = folders.filter_map(|it| it.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}
