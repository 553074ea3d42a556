//! Tokens of Google's, by Application Default Credentials: Cloud Composer asks for them.

use google_cloud_auth::credentials::AccessTokenCredentials;
use google_cloud_auth::credentials::Builder;
use tokio::runtime::Builder as Threads;
use tokio::runtime::Runtime;

use crate::apply::scrub::Scrubber;
use crate::model::causes::chain;

/// What the token may be used for; Composer takes no smaller one.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Where tokens come from; it keeps one until it is about to end.
pub(super) struct Google {
    credentials: AccessTokenCredentials,
    runtime: Runtime,
}

impl Google {
    /// Finds the credentials; nothing is asked yet.
    pub(super) fn open() -> Result<Self, String> {
        let runtime = Threads::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let found = {
            let _inside = runtime.enter();
            Builder::default().with_scopes([SCOPE]).build_access_token_credentials()
        };
        Ok(Self { credentials: found.map_err(|error| told(&error))?, runtime })
    }

    /// A token that counts now.
    pub(super) fn token(&self) -> Result<String, String> {
        let token = self.runtime.block_on(self.credentials.access_token());
        token.map(|it| it.token).map_err(|error| {
            format!(
                "Google gives no token, see `gcloud auth application-default login`: {}",
                told(&error)
            )
        })
    }
}

/// An error and its causes, which may quote what the service of tokens answered.
fn told(error: &dyn std::error::Error) -> String {
    Scrubber::new(&[]).text(&chain(error))
}
