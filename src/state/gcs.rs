//! Google Cloud Storage as a store.
//!
//! # Why
//! The client would try again by itself, and a conditional write that is sent twice loses to
//! itself: so its retries are off, every call is one request with a timeout of its own around
//! it, and what its end means is decided here, from the status alone.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::error::CredentialsError;
use google_cloud_gax::error::Error;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_storage::client::Storage;
use google_cloud_storage::read_resume_policy::NeverResume;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

use super::store::Expect;
use super::store::Generation;
use super::store::Object;
use super::store::Put;
use super::store::Store;
use super::store::StoreError;
use super::store::check_key;
use crate::model::causes::chain;

/// Below this many bytes an object is sent in one request; an upload in pieces has calls of its
/// own that would have to be resolved.
const ONE_REQUEST: usize = 256 << 20;

/// How much of a service's message is told.
const LONGEST_MESSAGE: usize = 300;

/// A prefix of a bucket.
pub struct Gcs {
    client: Storage,
    /// Always there until the end, when it is let go without waiting for it.
    runtime: Option<Runtime>,
    bucket: String,
    prefix: String,
    timeout: Duration,
}

/// What a call wanted: it decides what a lost answer means, and which permissions it takes.
#[derive(Clone, Copy)]
enum Call {
    Get,
    Create,
    Overwrite,
}

impl Call {
    fn permissions(self) -> &'static str {
        match self {
            // Without the second, Google answers for an object that is not there as for one that
            // may not be read.
            Self::Get => "storage.objects.get and storage.objects.list",
            Self::Create => "storage.objects.create",
            Self::Overwrite => "storage.objects.create and storage.objects.delete",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Get => "read",
            Self::Create | Self::Overwrite => "write",
        }
    }
}

impl Gcs {
    /// The objects under `prefix` in `bucket`; each call may take `timeout`. `endpoint` stands in
    /// for Google's and is asked without credentials, otherwise Application Default Credentials
    /// are used.
    ///
    /// # Errors
    /// Where there are no credentials, or no TLS roots.
    pub fn open(
        bucket: &str,
        prefix: &str,
        endpoint: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        let builder = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = builder.map_err(|error| StoreError::Refused {
            what: format!("cannot start a thread for {bucket}: {error}"),
            next: "raise the limit of processes (`ulimit -u`)".to_owned(),
        })?;
        let mut client = Storage::builder()
            .with_retry_policy(NeverRetry)
            .with_read_resume_policy(NeverResume)
            .with_resumable_upload_threshold(ONE_REQUEST);
        if let Some(endpoint) = endpoint {
            let endpoint = match endpoint.contains("://") {
                true => endpoint.to_owned(),
                false => format!("http://{endpoint}"),
            };
            client = client
                .with_endpoint(endpoint.trim_end_matches('/'))
                .with_credentials(anonymous::Builder::new().build());
        }
        let client = runtime.block_on(client.build()).map_err(|error| StoreError::Refused {
            what: format!("cannot use gs://{bucket}: {error}"),
            next: match error.is_default_credentials() {
                true => LOGIN.to_owned(),
                false => "install this machine's certificates (`ca-certificates`)".to_owned(),
            },
        })?;
        let (bucket, prefix) = (bucket.to_owned(), prefix.trim_matches('/').to_owned());
        Ok(Self { client, runtime: Some(runtime), bucket, prefix, timeout })
    }

    fn resource(&self) -> String {
        format!("projects/_/buckets/{}", self.bucket)
    }

    fn name(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    /// Runs one call to its end; none where its time is over.
    fn run<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let timed = async { tokio::time::timeout(self.timeout, call).await.ok() };
        self.runtime.as_ref()?.block_on(timed)
    }

    async fn read(&self, name: &str) -> Result<Object, Error> {
        let mut answer = self.client.read_object(self.resource(), name).send().await?;
        let found = answer.object();
        let mut bytes = Vec::with_capacity(usize::try_from(found.size).unwrap_or_default());
        while let Some(piece) = answer.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(Object { generation: Generation(found.generation.cast_unsigned()), bytes })
    }

    async fn write(&self, name: &str, expected: u64, bytes: Bytes) -> Result<Put, Error> {
        let written = self
            .client
            .write_object(self.resource(), name, bytes)
            .set_if_generation_match(expected.cast_signed())
            .set_content_type("application/json")
            .with_idempotency(false)
            .send_buffered()
            .await?;
        Ok(Put::Written(Generation(written.generation.cast_unsigned())))
    }

    /// What an error means to who called.
    fn meaning(&self, call: Call, key: &str, error: &Error) -> StoreError {
        let place = format!("gs://{}/{}", self.bucket, self.name(key));
        let what = format!("cannot {} {place}: {}", call.verb(), said(error));
        let lost = match call {
            Call::Get => StoreError::Busy,
            Call::Create | Call::Overwrite => StoreError::Unclear,
        };
        match error.http_status_code() {
            Some(429) => StoreError::Busy(what),
            Some(401) => StoreError::Refused { what, next: LOGIN.to_owned() },
            Some(403) => StoreError::Refused { what, next: self.grant(call) },
            Some(404) => StoreError::Refused {
                what: format!("cannot {} {place}: there is no such bucket", call.verb()),
                next: format!("gcloud storage buckets create gs://{}", self.bucket),
            },
            Some(400 | 405 | 410..=417 | 431) => StoreError::Refused {
                what,
                next: "check the state location in the settings".to_owned(),
            },
            // It never left this machine.
            None if error.is_connect() => StoreError::Busy(what),
            None if error.is_authentication() => match missing(error) {
                Credentials::Unset => StoreError::Refused {
                    what: format!("cannot {} {place}: no credentials are set up", call.verb()),
                    next: LOGIN.to_owned(),
                },
                Credentials::Wrong => StoreError::Refused { what, next: LOGIN.to_owned() },
                Credentials::Late => StoreError::Busy(what),
            },
            None if error.is_binding() => StoreError::Refused {
                what,
                next: "check the state location in the settings".to_owned(),
            },
            _ => lost(what),
        }
    }

    fn grant(&self, call: Call) -> String {
        format!(
            "grant {}: gcloud storage buckets add-iam-policy-binding gs://{} \
             --member=serviceAccount:NAME@PROJECT.iam.gserviceaccount.com \
             --role=roles/storage.objectUser",
            call.permissions(),
            self.bucket
        )
    }

    fn late(&self, call: Call, key: &str) -> String {
        format!(
            "cannot {} gs://{}/{}: no answer in {} seconds",
            call.verb(),
            self.bucket,
            self.name(key),
            self.timeout.as_secs_f32()
        )
    }
}

const LOGIN: &str = "gcloud auth application-default login; in GitHub Actions: the action \
                     google-github-actions/auth before this step";

impl Store for Gcs {
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        check_key(key)?;
        let name = self.name(key);
        match self.run(self.read(&name)) {
            None => Err(StoreError::Busy(self.late(Call::Get, key))),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(error)) if error.http_status_code() == Some(404) && !no_bucket(&error) => {
                Ok(None)
            }
            Some(Err(error)) => Err(self.meaning(Call::Get, key, &error)),
        }
    }

    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError> {
        check_key(key)?;
        let (call, expected) = match expect {
            Expect::Absent => (Call::Create, 0),
            Expect::At(generation) => (Call::Overwrite, generation.0),
        };
        match self.run(self.write(&self.name(key), expected, Bytes::copy_from_slice(bytes))) {
            None => Err(StoreError::Unclear(self.late(call, key))),
            Some(Ok(put)) => Ok(put),
            Some(Err(error)) if error.http_status_code() == Some(412) => Ok(Put::Conflict),
            Some(Err(error)) => Err(self.meaning(call, key, &error)),
        }
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn location(&self) -> String {
        format!("gs://{}", [self.bucket.as_str(), &self.prefix].join("/").trim_end_matches('/'))
    }
}

impl Drop for Gcs {
    fn drop(&mut self) {
        // Looking up a name can take long after everybody lost interest.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether what is missing is the bucket, not the object.
fn no_bucket(error: &Error) -> bool {
    let said = message(error).to_lowercase();
    said.contains("bucket") && said.contains("does not exist") && !said.contains("object")
}

/// Why there are no credentials.
enum Credentials {
    /// None are set up.
    Unset,
    /// Those that are set up do not work.
    Wrong,
    /// Whoever gives them out did not answer.
    Late,
}

/// Why a call had no credentials. Where none are set up the client asks the machine for some, and
/// takes a machine that is not Google's for one that is slow.
fn missing(error: &Error) -> Credentials {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut found = Credentials::Wrong;
    while let Some(error) = cause {
        if error.to_string().contains("not configured local credentials") {
            return Credentials::Unset;
        }
        if error.downcast_ref::<CredentialsError>().is_some_and(|it| it.is_transient()) {
            found = Credentials::Late;
        }
        cause = error.source();
    }
    found
}

/// What the service says, in its own words; empty where it says nothing.
fn message(error: &Error) -> String {
    let said = error.status().map(|status| status.message.clone());
    let payload = || error.http_payload().map(|it| String::from_utf8_lossy(it).into_owned());
    said.filter(|said| !said.is_empty()).or_else(payload).unwrap_or_default()
}

/// An error in one line, without headers.
fn said(error: &Error) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short = |text: &str| line(text).chars().take(LONGEST_MESSAGE).collect::<String>();
    if let Some(status) = error.http_status_code() {
        return format!("{status} {}", short(&message(error))).trim_end().to_owned();
    }
    short(&chain(error))
}
