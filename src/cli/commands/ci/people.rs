//! What people gave a pull request: labels, approvals; and who may give what.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::desk::Desk;
use crate::model::name::Address;
use crate::model::name::CommitId;
use crate::plan::contract::Plan;
use crate::plan::policy;
use crate::plan::policy::Demand;
use crate::plan::policy::Policy;
use crate::plan::policy::Standing;
use crate::plan::policy::Who;
use crate::plan::settings;
use crate::plan::settings::DirectPush;
use crate::plan::settings::Settings;
use crate::publish::PullRef;
use crate::publish::objects::Permission;
use crate::publish::owners;
use crate::publish::owners::Owners;
use crate::publish::people::approvers;
use crate::source::Repository;
use crate::source::SourceError;

/// The settings that decide what may happen, and who owns what.
pub(super) struct Rules {
    pub(super) ci: settings::Ci,
    policies: Vec<Policy>,
    owners: Owners,
    /// The compiled file of a config, by its address.
    root: String,
}

impl Rules {
    /// The rules as a commit has them: that of the base, for a pull request must not loosen what
    /// holds for it.
    pub(super) fn at(
        repository: &Repository,
        commit: &CommitId,
        settings: Settings,
        root: &str,
        desk: &Desk<'_>,
    ) -> Result<Self, SourceError> {
        let mut owners = Owners::default();
        for place in owners::PLACES {
            if let Some(bytes) = repository.file(commit, place)? {
                let (read, mistakes) = Owners::read(&String::from_utf8_lossy(&bytes));
                for it in mistakes {
                    desk.note(&format!("{place}:{}: {}", it.line, it.what));
                }
                owners = read;
                break;
            }
        }
        let Settings { ci, policies, .. } = settings;
        Ok(Self { ci, policies, owners, root: root.to_owned() })
    }

    /// What a plan needs, and what of it is missing.
    pub(super) fn demands(
        &self,
        desk: &Desk<'_>,
        plan: &Plan,
        pull: Option<&PullRef>,
    ) -> Vec<Demand> {
        if self.policies.is_empty() {
            return Vec::new();
        }
        let standing = pull.and_then(|pull| standing(desk, pull));
        let approvals = standing.as_ref().map(|it| it.approvals.clone()).unwrap_or_default();
        let known = RefCell::new(BTreeMap::new());
        let members = |name: &str| {
            let mut known = known.borrow_mut();
            let found = || members(desk, name, &approvals);
            known.entry(name.to_owned()).or_insert_with(found).clone()
        };
        let paths: BTreeMap<&Address, &str> = plan
            .steps
            .iter()
            .map(|it| (&it.config, it.path.as_str()))
            .chain(plan.changes.iter().map(|it| (&it.config, it.path.as_str())))
            .collect();
        let owners = |config: &Address| {
            let usual = || owners::usual_path(&self.root, config);
            let path = paths.get(config).map_or_else(usual, |path| (*path).to_owned());
            self.owners.owners_of_config(&self.root, &path).to_vec()
        };
        let who = Who { members: &members, owners: &owners };
        policy::demands(&self.policies, plan, standing.as_ref(), who)
    }
}

/// What becomes of a push without a pull request, by the strictest of several rules.
pub(super) fn direct_push(rules: &[Rules]) -> DirectPush {
    rules.iter().map(|it| it.ci.direct_push).min().unwrap_or_default()
}

/// What a pull request has; none where it cannot be seen.
fn standing(desk: &Desk<'_>, pull: &PullRef) -> Option<Standing> {
    let labels = desk.ask("labels cannot be read", |github| github.labels(pull.number))?;
    let reviews = desk.ask("reviews cannot be read", |github| github.reviews(pull.number))?;
    let approve = approvers(&reviews.items, &pull.author, &pull.head_sha);
    let approvals = approve.into_iter().filter(|login| may_write(desk, login)).collect();
    let labels = labels.items.into_iter().collect();
    Some(Standing { labels, approvals, author: Some(pull.author.clone()) })
}

/// Whether somebody may write to the repository; nobody may whose permission cannot be seen.
pub(super) fn may_write(desk: &Desk<'_>, login: &str) -> bool {
    let permission =
        desk.ask("whether an approval counts cannot be seen", |github| github.permission(login));
    permission.is_some_and(|it| it >= Permission::Write)
}

/// Which of these people are members of a team; none where nobody can tell, as for an address of
/// e-mail.
fn members(desk: &Desk<'_>, name: &str, of: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let (org, team) = name.trim_start_matches('@').split_once('/')?;
    let mut members = BTreeSet::new();
    for login in of {
        let is_in = desk
            .ask("members of teams cannot be seen", |github| github.in_team(org, team, login))??;
        if is_in {
            members.insert(login.clone());
        }
    }
    Some(members)
}
