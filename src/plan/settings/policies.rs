//! Puts the policies of the file together, and says what of one does not fit.

use std::collections::BTreeMap;

use super::Labels;
use super::takes::nearest;
use crate::plan::policy::Policy;
use crate::plan::policy::WHEN_NAMES;
use crate::plan::policy::When;

/// What is wrong with a policy: the setting, none for the policy as a whole, and the sentence.
type Wrong = (Option<&'static str>, String);

/// A policy of which only each setting was looked at by itself.
pub(super) struct Draft<'a> {
    pub(super) name: &'a str,
    /// The settings that are right.
    pub(super) values: &'a BTreeMap<String, Vec<String>>,
    /// Whether a setting is in the file, be it right or wrong: nothing is told twice.
    pub(super) stands: &'a dyn Fn(&str) -> bool,
}

impl Draft<'_> {
    /// The policy; it means something only where nothing is wrong.
    pub(super) fn policy(&self) -> Policy {
        let from = self.list("from");
        Policy {
            name: self.name.to_owned(),
            when: self.when().unwrap_or(When::Jobs),
            envs: self.list("envs"),
            days: self.number("days").unwrap_or(0),
            teams: self.list("teams"),
            configs: self.list("configs"),
            allowed: self.list("allowed"),
            labels: self.list("labels"),
            approvals: self.number("approvals").unwrap_or(u32::from(!from.is_empty())),
            from,
        }
    }

    /// What does not fit, with the envs that there are and the labels that CI puts on.
    pub(super) fn wrong(&self, envs: &[String], labels: &Labels) -> Vec<Wrong> {
        let unknown = self.list("envs");
        let mut wrong: Vec<Wrong> =
            unknown_envs(&unknown, envs).map(|what| (Some("envs"), what)).collect();
        let own: Vec<String> = all(labels).map(|label| label.to_lowercase()).collect();
        for label in self.list("labels").iter().filter(|it| own.contains(&it.to_lowercase())) {
            let what = format!("`{label}` is a label that CI itself puts on: nobody would decide");
            wrong.push((Some("labels"), what));
        }
        if !(self.stands)("when") {
            wrong.push((None, format!("no `when`: one of `{}`", WHEN_NAMES.join("`, `"))));
        }
        if !["labels", "approvals", "from"].into_iter().any(self.stands) {
            wrong.push((None, "it asks for nothing: set `labels` or `approvals`".to_owned()));
        }
        wrong.extend(self.when().into_iter().flat_map(|when| self.misfits(when)));
        wrong
    }

    fn list(&self, setting: &str) -> Vec<String> {
        self.values.get(setting).cloned().unwrap_or_default()
    }

    fn number(&self, setting: &str) -> Option<u32> {
        self.values.get(setting)?.first()?.parse().ok()
    }

    fn when(&self) -> Option<When> {
        self.values.get("when").and_then(|it| When::by_name(it.first()?))
    }

    /// What a condition needs and is not there, and what belongs to another one.
    fn misfits(&self, when: When) -> Vec<Wrong> {
        let (name, days) = (when.name(), When::BackfillDays);
        let mut wrong = Vec::new();
        if when == days && !(self.stands)("days") {
            wrong.push((None, format!("no `days`: `{name}` holds above so many")));
        }
        if when != days && (self.stands)("days") {
            let other = days.name();
            wrong.push((Some("days"), format!("it belongs to `{other}`, not to `{name}`")));
        }
        if when == When::Team && !(self.stands)("teams") {
            wrong.push((None, format!("no `teams`: `{name}` is about their configs")));
        }
        wrong
    }
}

/// Of a list of envs, those that are not there, a sentence each.
pub(super) fn unknown_envs(named: &[String], envs: &[String]) -> impl Iterator<Item = String> {
    let unknown = named.iter().filter(|it| !envs.contains(it));
    unknown.map(|env| {
        format!("there is no `[env.{env}]`{}", nearest(env, envs.iter().map(String::as_str)))
    })
}

/// Two labels of one name would be put on and taken off in turns.
pub(super) fn label_twice(labels: &Labels) -> Option<String> {
    let mut seen: Vec<String> = all(labels).map(|label| label.to_lowercase()).collect();
    seen.sort();
    let twice = seen.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(format!("`{}` is the label of two things", twice[0]))
}

fn all(labels: &Labels) -> impl Iterator<Item = &String> {
    [&labels.jobs, &labels.breaking, &labels.history].into_iter().flatten()
}
