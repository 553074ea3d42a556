//! What `init` was asked for, checked: every mistake at once.
//!
//! # Why
//! The values go into files that GitHub runs. One that could be read as anything but itself there is
//! refused, so nothing has to be escaped.

use super::super::super::args::InitArgs;
use super::super::super::failure::Failure;
use super::found::Found;
use crate::plan::settings;
use crate::state::location::Location;

/// What a value may look like, and how it is told.
type Shape = (fn(&str) -> bool, &'static str);

const PROVIDER: Shape = (
    is_provider,
    "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER; `gcloud iam \
     workload-identity-pools providers describe … --format 'value(name)'` prints it",
);
const ACCOUNT: Shape = (is_account, "NAME@PROJECT.iam.gserviceaccount.com");
const ACTION: Shape =
    (is_action, "OWNER/NAME@REF; a path in the checkout would run what a pull request puts there");

/// Refuses what cannot be done, with every reason.
pub(super) fn check(args: &InitArgs, found: &Found) -> Result<(), Failure> {
    let given = [
        ("--workload-identity-provider", args.workload_identity_provider.as_deref(), PROVIDER),
        ("--service-account", args.service_account.as_deref(), ACCOUNT),
        ("--plan-service-account", args.plan_service_account.as_deref(), ACCOUNT),
        ("--action", Some(args.action.as_str()), ACTION),
    ];
    let mut wrong: Vec<String> = given
        .iter()
        .filter_map(|(option, value, (is_right, shape))| {
            let value = value.filter(|value| !is_right(value))?;
            Some(format!("{option} `{value}` is not of the form {shape}"))
        })
        .collect();
    wrong.extend(args.state.as_deref().and_then(|state| wrong_state(state, found)));
    wrong.extend(folders_that_nobody_keeps(args, found));
    if args.compile {
        wrong.extend(wrong_roots(&found.roots));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let what = match wrong.len() {
        1 => "this cannot be written".to_owned(),
        count => format!("this cannot be written, for {count} reasons"),
    };
    Err(Failure::new(what).lines(wrong).hint("chronon-plan init --help"))
}

fn wrong_state(state: &str, found: &Found) -> Option<String> {
    match Location::parse(state, &found.top) {
        Ok(Location::Bucket { .. }) if is_plain(state) => None,
        Ok(Location::Bucket { .. }) => Some(format!(
            "--state `{state}` may only have letters, digits and `:/._-`, for it goes into workflow files"
        )),
        Ok(Location::Folder(_)) => Some(format!(
            "--state `{state}` is a folder, and runs of a workflow share none: use gs://BUCKET/PREFIX, \
             or leave it out for a first try"
        )),
        Err(error) => Some(format!("--state: {error}")),
    }
}

/// Envs of existing settings whose ledger lies in a folder that the workflow would not keep.
fn folders_that_nobody_keeps(args: &InitArgs, found: &Found) -> Vec<String> {
    let envs = found.settings.iter().flat_map(|it| &it.envs);
    let kept = |state: &str| state.starts_with("gs://") || state == ".chronon-plan";
    let lost = envs.filter_map(|(env, it)| Some((env, it.state.as_deref()?)));
    let lost = lost.filter(|(_, state)| args.state.is_none() && !kept(state));
    lost.map(|(env, state)| {
        format!(
            "{}: `env.{env}.state` is the folder `{state}`, and runs of a workflow share none: set it \
             to gs://BUCKET/PREFIX, or take it out for a first try",
            settings::FILE
        )
    })
    .collect()
}

/// Why `zipline compile` cannot be run for these roots.
fn wrong_roots(roots: &[String]) -> Vec<String> {
    let compiled: Vec<&String> = roots.iter().filter(|root| is_zipline(root)).collect();
    if compiled.is_empty() && !roots.is_empty() {
        return vec![format!(
            "--compile runs `zipline compile`, and {} is written by compile.py of airbnb/chronon, file \
             by file: write that job by hand; the input check-compiled of the action checks what it wrote",
            roots.join(", ")
        )];
    }
    let odd = compiled.iter().filter(|root| !is_plain(root) || root.starts_with('-'));
    odd.map(|root| {
        format!("--compile: the folder of `{root}` has a name that a shell could misread")
    })
    .collect()
}

/// Whether `zipline compile` writes such a root.
pub(super) fn is_zipline(root: &str) -> bool {
    root.rsplit('/').next() != Some("production")
}

/// Whether a text is one word in a shell and in YAML.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ":/._-".contains(c))
}

/// Whether an action is pinned by a commit.
pub(super) fn is_pinned(action: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    action.rsplit('@').next().is_some_and(|at| at.len() == 40 && at.chars().all(hex))
}

fn is_provider(text: &str) -> bool {
    let id = |part: &str| {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (4..=32).contains(&part.len()) && part.chars().all(known)
    };
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [
            "projects",
            number,
            "locations",
            "global",
            "workloadIdentityPools",
            pool,
            "providers",
            it,
        ] => !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) && id(pool) && id(it),
        _ => false,
    }
}

fn is_account(text: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty()
            && name.chars().chain(domain.chars()).all(known)
            && domain.ends_with(".gserviceaccount.com")
    })
}

fn is_action(text: &str) -> bool {
    text.split_once('@').is_some_and(|(path, at)| {
        let parts: Vec<&str> = path.split('/').collect();
        let named = parts.len() >= 2 && parts.iter().all(|it| is_plain(it) && !it.starts_with('.'));
        named && !path.contains(':') && is_plain(at) && !at.contains(':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_workflow_is_one_word_there() {
        let right = ["acme/plan@v1", "acme/mono/plan@main", "a/b@release/1.2"];
        assert!(right.iter().all(|it| is_action(it)));
        let wrong =
            ["./", "./x@v1", "../x/y@v1", "acme@v1", "a/b", "a/b@", "a/b@v1 # x", "a/b@v1\n"];
        let more = ["docker://a/b@v1", "a/b@${{ x }}", "a/b@v1@v2", "", "a//b@v1"];
        assert!(!wrong.iter().chain(&more).any(|it| is_action(it)));
        let provider = "projects/1/locations/global/workloadIdentityPools/pool/providers/git-hub";
        assert!(is_provider(provider));
        assert!(!is_provider(&provider.replace("/1/", "/acme/")));
        assert!(!is_provider(&provider.replace("pool/", "")) && !is_provider("projects/1"));
        assert!(is_account("apply@acme-1.iam.gserviceaccount.com"));
        let accounts =
            ["apply", "apply@example.com", "a b@c.gserviceaccount.com", "@x.gserviceaccount.com"];
        assert!(!accounts.iter().any(|it| is_account(it)));
        assert!(is_pinned(&format!("a/b@{}", "0a".repeat(20))) && !is_pinned("a/b@v1"));
    }
}
