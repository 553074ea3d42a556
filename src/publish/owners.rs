//! CODEOWNERS: who owns a file, read as GitHub reads it.
//!
//! # Why
//! The last line that matches decides, and one without owners means nobody. Patterns are those of
//! .gitignore but for what GitHub leaves out: such lines GitHub skips, so they are skipped here
//! too, and told. Lines stand in blocks of one matcher each, for large files have tens of
//! thousands.

use std::collections::BTreeMap;
use std::path::Path;

use ignore::gitignore::Gitignore;
use ignore::gitignore::GitignoreBuilder;

use crate::model::name::Address;
use crate::model::name::ConfigType;
use crate::plan::policy::is_handle;

/// Where GitHub looks, in this order; the first one that is there counts.
pub const PLACES: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

/// Above so many bytes GitHub does not load the file.
const MOST_BYTES: usize = 3_000_000;

/// How many lines share a matcher.
const BLOCK: usize = 1000;

/// A line that GitHub skips.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// The owners of a repository's files.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    blocks: Vec<Block>,
}

/// Lines that stand one after the other.
#[derive(Clone, Debug)]
struct Block {
    /// Patterns that match a folder with all that is below it.
    deep: Gitignore,
    /// Patterns that end with `/*`: in CODEOWNERS they match what is directly there, and no more.
    flat: Gitignore,
    /// The last line with each pattern.
    rules: BTreeMap<String, Rule>,
}

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    line: usize,
    pattern: String,
    flat: bool,
    owners: Vec<String>,
}

impl Owners {
    /// Reads the file. Lines that GitHub skips are left out and told, in order.
    pub fn read(text: &str) -> (Self, Vec<Mistake>) {
        let (mut rules, mut mistakes) = (Vec::new(), Vec::new());
        if text.len() > MOST_BYTES {
            let what = "GitHub does not load a CODEOWNERS of more than 3 MB".to_owned();
            mistakes.push(Mistake { line: 1, what });
        }
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            match rule(at + 1, line.trim()) {
                Ok(rule) => rules.extend(rule),
                Err(what) => mistakes.push(Mistake { line: at + 1, what }),
            }
        }
        let mut owners = Self::default();
        for rules in rules.chunks(BLOCK) {
            owners.add(rules, &mut mistakes);
        }
        mistakes.sort();
        (owners, mistakes)
    }

    /// Adds lines as one block; as several where a matcher would be too large.
    fn add(&mut self, rules: &[Rule], mistakes: &mut Vec<Mistake>) {
        match (block(rules), rules) {
            (Ok(block), _) => self.blocks.push(block),
            (Err(_), []) => {}
            (Err(error), [rule]) => {
                let what = format!("GitHub reads no such pattern: {error}");
                mistakes.push(Mistake { line: rule.line, what });
            }
            (Err(_), several) => {
                let (first, rest) = several.split_at(several.len() / 2);
                self.add(first, mistakes);
                self.add(rest, mistakes);
            }
        }
    }

    /// Who owns a file, by its path from the repository's top: logins, teams and addresses of
    /// e-mail as they are written; empty for nobody.
    pub fn owners_of(&self, path: &str) -> &[String] {
        let path = Path::new(path.trim_start_matches('/'));
        let rule = self.blocks.iter().rev().find_map(|block| block.last(path));
        rule.map_or(&[], |rule| &rule.owners)
    }

    /// Who owns a config: the owners of its compiled file, and where nobody owns that, of its
    /// source.
    pub fn owners_of_config(&self, root: &str, path: &str) -> &[String] {
        let owners = paths(root, path).into_iter().map(|path| self.owners_of(&path));
        owners.into_iter().find(|it| !it.is_empty()).unwrap_or_default()
    }
}

impl Block {
    /// The last line that matches a path.
    fn last(&self, path: &Path) -> Option<&Rule> {
        let above = path.ancestors().skip(1).filter(|it| *it != Path::new(""));
        let deep = std::iter::once((path, false)).chain(above.map(|it| (it, true)));
        let deep = deep.map(|(path, is_folder)| self.deep.matched(path, is_folder));
        let all = deep.chain([self.flat.matched(path, false)]);
        let found = all.filter_map(|it| self.rules.get(it.inner()?.original()));
        found.max_by_key(|rule| rule.line)
    }
}

fn block(rules: &[Rule]) -> Result<Block, ignore::Error> {
    let (mut deep, mut flat) = (GitignoreBuilder::new(""), GitignoreBuilder::new(""));
    for rule in rules {
        let builder = if rule.flat { &mut flat } else { &mut deep };
        builder.add_line(None, &rule.pattern)?;
    }
    let rules = rules.iter().map(|rule| (rule.pattern.clone(), rule.clone())).collect();
    Ok(Block { deep: deep.build()?, flat: flat.build()?, rules })
}

/// What a line says; none for an empty line and a comment.
fn rule(line: usize, text: &str) -> Result<Option<Rule>, String> {
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    if text.starts_with(['[', '^']) && text.contains(']') {
        return Err("CODEOWNERS of GitHub has no sections".to_owned());
    }
    let (pattern, rest) = pattern(text)?;
    let owners = rest.split_whitespace().take_while(|word| !word.starts_with('#'));
    let owners: Vec<String> = owners.map(str::to_owned).collect();
    if let Some(bad) = owners.iter().find(|it| !is_handle(it) && !is_mail(it)) {
        return Err(format!(
            "`{bad}` is no owner: neither `@login`, nor `@organization/team`, nor an address of e-mail"
        ));
    }
    let flat = pattern.ends_with("/*");
    Ok(Some(Rule { line, pattern, flat, owners }))
}

/// The pattern at the start of a line, spelt so that only `*`, `?` and `/` mean anything to the
/// matcher, and what follows it.
fn pattern(text: &str) -> Result<(String, &str), String> {
    for (start, what) in [("!", "`!` negates nothing"), ("\\#", "no pattern can start with `#`")] {
        if text.starts_with(start) {
            return Err(format!("in CODEOWNERS {what}"));
        }
    }
    let mut pattern = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                // A slash is one however it is spelt.
                Some((_, '/')) => pattern.push('/'),
                Some((_, escaped)) => pattern.extend(['\\', escaped]),
                None => return Err("nothing follows the last `\\`".to_owned()),
            },
            '[' | ']' => return Err("in CODEOWNERS `[ ]` is no range of characters".to_owned()),
            '{' | '}' => pattern.extend(['\\', c]),
            // More than two stars mean what two mean.
            '*' if pattern.ends_with("**") => {}
            _ if c.is_whitespace() => return Ok((pattern, &text[at..])),
            _ => pattern.push(c),
        }
    }
    Ok((pattern, ""))
}

fn is_mail(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.')
    })
}

/// The files to ask for the owners of a config, in order: the compiled one, and its source by
/// convention. `joins/ads/user.stats.v1` comes from `user/stats.py`, or from `user.py`, in the
/// folder `joins/ads` beside the compiled root; what names no variable, from a file of its own name.
pub fn paths(root: &str, path: &str) -> Vec<String> {
    let mut paths = vec![path.to_owned()];
    let root = root.trim_matches('/');
    let below = path.strip_prefix(&inside(root));
    let Some((folder, file)) = below.and_then(|it| it.rsplit_once('/')) else { return paths };
    let beside = inside(root.rsplit_once('/').map_or("", |(above, _)| above));
    if folder.split('/').next() == Some(ConfigType::Team.dir()) {
        paths.push(format!("{beside}teams.py"));
        return paths;
    }
    let module = file.rsplit_once('.').map_or(file, |(module, _)| module);
    let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
    let mut sources: Vec<String> = ends
        .map(|end| format!("{beside}{folder}/{}.py", module[..end].replace('.', "/")))
        .collect();
    sources.reverse();
    paths.extend(sources);
    paths
}

/// Where the compiled file of a config stands that is known by its address alone.
pub fn usual_path(root: &str, config: &Address) -> String {
    let name = &config.name;
    let below = match config.kind {
        ConfigType::Team => format!("{name}/{name}_team_metadata"),
        ConfigType::GroupBy
        | ConfigType::Join
        | ConfigType::ModelTransforms
        | ConfigType::Model
        | ConfigType::StagingQuery => name.replacen('.', "/", 1),
    };
    format!("{}{}/{below}", inside(root.trim_matches('/')), config.kind.dir())
}

/// What the paths of all that is in a folder start with.
fn inside(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}
