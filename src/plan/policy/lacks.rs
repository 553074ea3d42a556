//! What a pull request lacks of a policy, and who can give it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::CODEOWNERS;
use super::Policy;
use super::Standing;
use super::Who;
use super::count;
use super::listed;
use crate::model::name::Address;

/// What a pull request lacks.
#[derive(Default)]
pub(super) struct Lacks {
    /// A sentence each.
    pub(super) missing: Vec<String>,
    /// Who can give it.
    pub(super) ask: Vec<String>,
    /// What is to be known of how approvals are counted; continues a sentence.
    pub(super) aside: String,
}

/// What a pull request lacks of a policy that its plan falls under by these configs.
pub(super) fn lacks(
    policy: &Policy,
    configs: &[Address],
    standing: Option<&Standing>,
    who: Who<'_>,
) -> Lacks {
    let nothing = Standing::default();
    let view = View::new(policy, standing.unwrap_or(&nothing), who);
    let groups = view.groups(configs);
    let label = view.label();
    let approvals = view.approvals(&groups);
    let mut lacks = Lacks { aside: aside(&groups), ..Lacks::default() };
    if label.is_none() && approvals.is_empty() {
        return lacks;
    }
    lacks.ask = view.ask(configs, &groups, label.is_some());
    if standing.is_none() {
        lacks.missing.push(format!("there is no pull request, so it lacks {}", asked(policy)));
        return lacks;
    }
    lacks.missing.extend(label);
    lacks.missing.extend(approvals);
    lacks
}

/// What a policy asks for, in words.
fn asked(policy: &Policy) -> String {
    let label = match policy.labels.as_slice() {
        [] => None,
        [one] => Some(format!("the label `{one}`")),
        several => Some(format!("one of the labels {}", listed(several))),
    };
    let approvals = usize::try_from(policy.approvals).unwrap_or(usize::MAX);
    let approvals =
        (approvals > 0).then(|| format!("{}{}", count(approvals, "approval"), by(policy)));
    label.into_iter().chain(approvals).collect::<Vec<_>>().join(" and ")
}

/// By whom approvals count.
fn by(policy: &Policy) -> String {
    let mut names: Vec<String> =
        policy.from.iter().filter(|it| *it != CODEOWNERS).map(|it| format!("`{it}`")).collect();
    if policy.from.iter().any(|it| it == CODEOWNERS) {
        names.push("an owner of each config".to_owned());
    }
    match names.as_slice() {
        [] => " by somebody who may write, the author not counted".to_owned(),
        _ => format!(" by {}", names.join(" or ")),
    }
}

/// The logins behind some names, in lower case, and the names of which nobody can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Circle {
    logins: BTreeSet<String>,
    unseen: BTreeSet<String>,
}

impl Circle {
    fn add(&mut self, name: &str, who: Who<'_>) {
        let login = name.strip_prefix('@').filter(|name| !name.contains('/'));
        match login.map(|it| BTreeSet::from([it.to_owned()])).or_else(|| (who.members)(name)) {
            Some(logins) => self.logins.extend(logins.iter().map(|it| it.to_lowercase())),
            None => {
                self.unseen.insert(name.to_owned());
            }
        }
    }
}

/// Configs of the same owners, with whose approval counts for them.
struct Group<'a> {
    owners: Vec<String>,
    configs: Vec<&'a Address>,
    circle: Circle,
    /// Why any approval counts; none where only those of the circle do.
    anybody: Option<&'static str>,
}

/// A policy and what a pull request has of it.
struct View<'a> {
    policy: &'a Policy,
    who: Who<'a>,
    labels: BTreeSet<String>,
    author: Option<String>,
    /// Without the author's own.
    approvers: BTreeSet<String>,
    /// Those who are named in `from`.
    named: Circle,
}

impl<'a> View<'a> {
    fn new(policy: &'a Policy, standing: &Standing, who: Who<'a>) -> Self {
        let author = standing.author.as_ref().map(|it| it.to_lowercase());
        let approvers = standing.approvals.iter().map(|it| it.to_lowercase());
        let approvers = approvers.filter(|it| Some(it) != author.as_ref()).collect();
        let mut named = Circle::default();
        for name in policy.from.iter().filter(|it| *it != CODEOWNERS) {
            named.add(name, who);
        }
        let labels = standing.labels.iter().map(|it| it.to_lowercase()).collect();
        Self { policy, who, labels, author, approvers, named }
    }

    fn asks_owners(&self) -> bool {
        self.policy.from.iter().any(|it| it == CODEOWNERS)
    }

    /// The configs by owners, where owners are asked.
    fn groups<'c>(&self, configs: &'c [Address]) -> Vec<Group<'c>> {
        let mut by_owners: BTreeMap<Vec<String>, Vec<&Address>> = BTreeMap::new();
        for config in configs.iter().filter(|_| self.asks_owners()) {
            by_owners.entry((self.who.owners)(config)).or_default().push(config);
        }
        by_owners.into_iter().map(|(owners, configs)| self.group(owners, configs)).collect()
    }

    fn group<'c>(&self, owners: Vec<String>, configs: Vec<&'c Address>) -> Group<'c> {
        let mut circle = self.named.clone();
        for owner in &owners {
            circle.add(owner, self.who);
        }
        let author: BTreeSet<String> = self.author.iter().cloned().collect();
        let alone = !author.is_empty() && circle.unseen.is_empty() && circle.logins == author;
        let anybody = match (self.named == Circle::default(), owners.is_empty()) {
            (true, true) => Some("nobody owns"),
            // An owner's own change is not held up for ever.
            (true, false) if alone => Some("only the author owns"),
            _ => None,
        };
        Group { owners, configs, circle, anybody }
    }

    /// What of labels is missing.
    fn label(&self) -> Option<String> {
        let labels = &self.policy.labels;
        if labels.is_empty() || labels.iter().any(|it| self.labels.contains(&it.to_lowercase())) {
            return None;
        }
        Some(match labels.as_slice() {
            [one] => format!("the label `{one}` is not on the pull request"),
            several => format!("none of the labels {} is on the pull request", listed(several)),
        })
    }

    fn covers(&self, group: &Group<'_>) -> bool {
        match group.anybody {
            Some(_) => !self.approvers.is_empty(),
            None => !self.approvers.is_disjoint(&group.circle.logins),
        }
    }

    /// The approvals that count.
    fn counted(&self, groups: &[Group<'_>]) -> usize {
        if self.policy.from.is_empty() || groups.iter().any(|it| it.anybody.is_some()) {
            return self.approvers.len();
        }
        let may: BTreeSet<&String> = groups
            .iter()
            .map(|it| &it.circle)
            .chain([&self.named])
            .flat_map(|it| &it.logins)
            .collect();
        self.approvers.iter().filter(|it| may.contains(it)).count()
    }

    /// What of approvals is missing.
    fn approvals(&self, groups: &[Group<'_>]) -> Vec<String> {
        let needed = usize::try_from(self.policy.approvals).unwrap_or(usize::MAX);
        if needed == 0 {
            return Vec::new();
        }
        let mut missing = Vec::new();
        let open: Vec<&Group<'_>> = groups.iter().filter(|it| !self.covers(it)).collect();
        let counted = self.counted(groups);
        if counted < needed && (open.is_empty() || needed > 1) {
            let of = count(needed, "approval");
            missing.push(format!("it has {counted} of {of}{}", by(self.policy)));
        }
        missing.extend(open.iter().map(|group| self.uncovered(group)));
        if missing.is_empty() {
            return missing;
        }
        let lacking = if open.is_empty() { groups.iter().collect() } else { open };
        let circles = lacking.iter().map(|it| &it.circle).chain([&self.named]);
        let unseen: BTreeSet<&String> = circles.flat_map(|it| &it.unseen).collect();
        if unseen.is_empty() {
            missing.extend(self.too_few(needed));
        }
        missing.extend(unseen.into_iter().map(|name| invisible(name)));
        missing
    }

    fn uncovered(&self, group: &Group<'_>) -> String {
        let configs = listed(&group.configs);
        let named = self.policy.from.iter().filter(|it| *it != CODEOWNERS);
        let all: Vec<&String> = group.owners.iter().chain(named).collect();
        match group.anybody {
            Some(why) => format!("{why} {configs}, so anybody may approve, and nobody has"),
            None if group.owners.is_empty() => {
                format!("nobody owns {configs}, and nobody of {} has approved", listed(&all))
            }
            None => format!("no owner of {configs} has approved: {}", listed(&all)),
        }
    }

    /// Where `from` names too few who could ever approve.
    fn too_few(&self, needed: usize) -> Option<String> {
        if self.policy.from.is_empty() || self.asks_owners() {
            return None;
        }
        let able = self.named.logins.iter().filter(|it| Some(*it) != self.author.as_ref()).count();
        let name = &self.policy.name;
        (able < needed).then(|| {
            format!(
                "only {able} of those can approve, the author not counted: name more in \
                 `policy.{name}.from`"
            )
        })
    }

    /// Who can give what is missing.
    fn ask(&self, configs: &[Address], groups: &[Group<'_>], label: bool) -> Vec<String> {
        let mut ask: BTreeSet<String> =
            self.policy.from.iter().filter(|it| *it != CODEOWNERS).cloned().collect();
        if self.asks_owners() {
            let all = label || groups.iter().all(|it| self.covers(it));
            let of = groups.iter().filter(|it| all || !self.covers(it));
            ask.extend(of.flat_map(|it| it.owners.iter().cloned()));
        } else if self.policy.from.is_empty() {
            ask.extend(configs.iter().flat_map(|it| (self.who.owners)(it)));
        }
        // The author may put a label on.
        let done = |name: &String| {
            let login = name.strip_prefix('@').map(str::to_lowercase);
            login
                .is_some_and(|it| Some(&it) == self.author.as_ref() || self.approvers.contains(&it))
        };
        ask.into_iter().filter(|name| label || !done(name)).collect()
    }
}

/// Which configs any approval counts for, and why.
fn aside(groups: &[Group<'_>]) -> String {
    let told = groups.iter().filter_map(|group| Some((group.anybody?, listed(&group.configs))));
    told.map(|(why, configs)| format!("; {why} {configs}, so any approval counts")).collect()
}

/// What is to be done where nobody can tell who is behind a name.
fn invisible(name: &str) -> String {
    if name.starts_with('@') {
        format!(
            "nobody can tell who belongs to `{name}`, so no approval counts as its own: use a token \
             that may read members of the organization, or list logins instead"
        )
    } else {
        format!(
            "nobody can tell whose address `{name}` is, so no approval counts as theirs: write \
             `@login` instead"
        )
    }
}
