//! Why GitHub was not asked or did not do what it was asked, and what to do about it.

/// A call to GitHub that came to nothing. No text in it holds the token, or what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The token is none.
    #[error("{what}: GitHub does not know the token{}", after(.message))]
    Unauthorized {
        /// The call.
        what: String,
        /// What GitHub says.
        message: String,
    },
    /// The token is not for this.
    #[error("{what}: the token may not do this{}", after(.message))]
    Forbidden {
        /// The call.
        what: String,
        /// What GitHub says.
        message: String,
        /// The permission that it takes, as a workflow spells it: `checks: write`.
        permission: Option<String>,
    },
    /// What the call is about is not there, or is hidden from the token.
    #[error("{what}: there is no such thing, or the token may not see it{}", after(.message))]
    NotFound {
        /// The call.
        what: String,
        /// What GitHub says.
        message: String,
    },
    /// It contradicts what is there.
    #[error("{what}: it contradicts what is there{}", after(.message))]
    Conflict {
        /// The call.
        what: String,
        /// What GitHub says.
        message: String,
    },
    /// GitHub does not take what was sent.
    #[error("{what}: GitHub does not take it{}", after(.message))]
    Invalid {
        /// The call.
        what: String,
        /// What GitHub says.
        message: String,
    },
    /// Too much was asked, and waiting would take too long.
    #[error("{what}: too many calls; GitHub takes the next in {seconds} seconds")]
    Limited {
        /// The call.
        what: String,
        /// How long until GitHub takes another.
        seconds: u64,
    },
    /// It may have been done: only looking tells.
    #[error("{what}: no clear answer, so it may have been done ({why})")]
    Unclear {
        /// The call.
        what: String,
        /// What came instead of an answer.
        why: String,
    },
    /// Nobody answered, however often it was tried.
    #[error("{what}: no answer ({why})")]
    NoAnswer {
        /// The call.
        what: String,
        /// What came instead of an answer.
        why: String,
    },
    /// The answer sends the call where the token must not go, or round and round.
    #[error("{what}: the answer sends the call on to {to}, which is not followed")]
    Redirected {
        /// The call.
        what: String,
        /// Where to, without what follows the host.
        to: String,
    },
    /// An answer that GitHub does not give.
    #[error("{what}: the answer makes no sense ({why})")]
    BadAnswer {
        /// The call.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing vouches for who answers.
    #[error("{what}: it cannot be seen that GitHub answers ({why})")]
    NoCertificates {
        /// The call.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// What is needed to ask at all is missing or wrong.
    #[error("{what}")]
    Setup {
        /// What is wrong.
        what: String,
        /// What to do about it.
        next: String,
    },
    /// The process was asked to end while it waited.
    #[error("{what}: not waited for, because the run was asked to end")]
    Stopped {
        /// The call.
        what: String,
    },
}

fn after(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

/// The permissions that a workflow can give to its own token; others take another token.
const GRANTABLE: [&str; 9] = [
    "actions",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "issues",
    "pages",
    "pull-requests",
    "statuses",
];

impl PublishError {
    /// What to do about it, in one line.
    pub fn next(&self) -> String {
        let text = match self {
            Self::Setup { next, .. } => return next.clone(),
            Self::Forbidden { permission: Some(permission), .. } => return grant(permission),
            Self::Limited { seconds, .. } => {
                return format!("run the job again in {} minutes", seconds.div_ceil(60));
            }
            Self::Unauthorized { .. } => {
                "give the step a token that is valid: `GITHUB_TOKEN: ${{ github.token }}` in its `env:`"
            }
            Self::Forbidden { .. } => {
                "look at the job's `permissions:`; a pull request of a fork gets a token that only reads"
            }
            Self::NotFound { .. } => {
                "check GITHUB_REPOSITORY, and that the job's `permissions:` let the token see it"
            }
            Self::Conflict { .. } | Self::Unclear { .. } => {
                "run the job again: it looks at what is there before it writes"
            }
            Self::Invalid { .. } => "if the message does not tell, report it with the text above",
            Self::NoAnswer { .. } => {
                "run the job again; see githubstatus.com, and HTTPS_PROXY and NO_PROXY for a proxy"
            }
            Self::Redirected { .. } => {
                "let GITHUB_API_URL and GITHUB_REPOSITORY name where the repository is now"
            }
            Self::BadAnswer { .. } => {
                "let GITHUB_API_URL name GitHub's API (Enterprise: https://HOST/api/v3), not a page or a proxy"
            }
            Self::NoCertificates { .. } => {
                "install this machine's certificates (`ca-certificates`), or let SSL_CERT_FILE name those to trust"
            }
            Self::Stopped { .. } => "run the job again",
        };
        text.to_owned()
    }
}

fn grant(permission: &str) -> String {
    let names = permission.split([',', ';', ' ']).filter_map(|it| it.strip_suffix(':'));
    if names.clone().all(|name| GRANTABLE.contains(&name)) && names.count() > 0 {
        format!("grant `{permission}` to the job, under `permissions:` in the workflow")
    } else {
        format!(
            "no workflow can give `{permission}`: take the token of an app or a person that has it"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden(permission: Option<&str>) -> PublishError {
        PublishError::Forbidden {
            what: "POST /repos/a/b/check-runs".to_owned(),
            message: "Resource not accessible by integration".to_owned(),
            permission: permission.map(str::to_owned),
        }
    }

    #[test]
    fn a_missing_permission_is_named_with_who_can_give_it() {
        let error = forbidden(Some("checks: write"));
        assert_eq!(
            error.to_string(),
            "POST /repos/a/b/check-runs: the token may not do this \
             (Resource not accessible by integration)"
        );
        assert!(error.next().starts_with("grant `checks: write` to the job"), "{}", error.next());
        let either = forbidden(Some("issues: write or pull-requests: write"));
        assert!(either.next().starts_with("grant `issues: write or pull-requests: write`"));
        assert!(forbidden(Some("members: read")).next().contains("an app or a person"));
        assert!(forbidden(None).next().contains("`permissions:`"));
    }

    #[test]
    fn every_error_names_the_call_and_what_to_do_in_one_line() {
        let what = || "GET /x".to_owned();
        let text = || "y".to_owned();
        let errors = [
            PublishError::Unauthorized { what: what(), message: text() },
            forbidden(None),
            PublishError::NotFound { what: what(), message: text() },
            PublishError::Conflict { what: what(), message: text() },
            PublishError::Invalid { what: what(), message: text() },
            PublishError::Limited { what: what(), seconds: 61 },
            PublishError::Unclear { what: what(), why: text() },
            PublishError::NoAnswer { what: what(), why: text() },
            PublishError::Redirected { what: what(), to: text() },
            PublishError::BadAnswer { what: what(), why: text() },
            PublishError::NoCertificates { what: what(), why: text() },
            PublishError::Setup { what: what(), next: "do this".to_owned() },
            PublishError::Stopped { what: what() },
        ];
        for error in errors {
            let (said, next) = (error.to_string(), error.next());
            assert!(said.starts_with("GET /x") || said.starts_with("POST /repos"), "{said}");
            assert!(!next.is_empty() && !next.contains('\n') && !next.contains("  "), "{next}");
            assert!(!next.ends_with('.'), "{next}");
        }
        assert!(PublishError::Limited { what: what(), seconds: 61 }.next().contains("2 minutes"));
    }
}
