//! One request to GitHub over the wire, and its answer.
//!
//! # Why
//! Redirects are not followed by the library but one by one by whoever asks, because the token
//! must not reach another host and a call that writes must not turn into one that reads. For the
//! same reason nothing is repeated here: what a lost answer means depends on the call.

use std::time::Duration;

use reqwest::Method;
use reqwest::Proxy;
use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::header::ACCEPT;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use reqwest::header::IF_NONE_MATCH;
use reqwest::redirect::Policy;

use super::answer::Answer;
use super::error::PublishError;
use super::token::Token;
use crate::model::causes::chain;

/// The version of the API that all of this is written for.
const VERSION: &str = "2022-11-28";

/// What to do about an address that is none.
const NAME_THE_API: &str =
    "let GITHUB_API_URL name GitHub's API: https://api.github.com, or https://HOST/api/v3";

/// How calls leave this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// As the environment says: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`.
    #[default]
    Environment,
    /// Through none.
    Direct,
    /// All through this one.
    Through(String),
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until there is a whole answer.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), call: Duration::from_secs(30) }
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// Why there is no answer.
pub(super) struct Silence {
    /// Whether GitHub may have got the request.
    pub(super) arrived: bool,
    /// Whether nothing vouches for who would have answered.
    pub(super) distrust: bool,
    pub(super) why: String,
}

/// Why an address that an answer gives is not asked.
pub(super) enum Astray {
    /// It is none.
    Nowhere(String),
    /// It is of another host, whose name this is.
    Abroad(String),
}

/// The connection to GitHub, with one token.
pub(super) struct Wire {
    client: Client,
    base: Url,
    token: Token,
    timeout: Duration,
}

impl Wire {
    /// Gets ready; nothing is asked yet.
    pub(super) fn open(
        base: &str,
        token: &Token,
        proxies: &Proxies,
        timeouts: Timeouts,
    ) -> Result<Self, PublishError> {
        let base = parsed(base)?;
        let builder = Client::builder()
            .default_headers(headers(token)?)
            .user_agent(concat!("chronon-plan/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false);
        let builder = match proxies {
            Proxies::Environment => builder,
            Proxies::Direct => builder.no_proxy(),
            Proxies::Through(proxy) => builder.proxy(Proxy::all(proxy).map_err(|_invalid| {
                wrong("the address of the proxy is none", "write it as `http://HOST:PORT`")
            })?),
        };
        let client = builder.build().map_err(|error| PublishError::NoCertificates {
            what: format!("cannot ask {}", origin(&base)),
            why: chain(&error.without_url()),
        })?;
        Ok(Self { client, base, token: token.clone(), timeout: timeouts.call })
    }

    /// The address of a path with its query below the base; none where a name in it cannot stand
    /// in an address, which knows `.` and `..` and would go elsewhere than was meant.
    pub(super) fn address(&self, path: &str) -> Option<String> {
        let (bare, query) = path.split_once('?').map_or((path, None), |it| (it.0, Some(it.1)));
        let full = format!("{}{bare}", self.base.path().trim_end_matches('/'));
        let mut url = self.base.clone();
        url.set_path(&full);
        url.set_query(query);
        (url.path() == full).then(|| url.into())
    }

    /// The address that an answer from another gives, if the token may go there.
    pub(super) fn onward(&self, from: &str, to: &str) -> Result<String, Astray> {
        let nowhere = |error| Astray::Nowhere(format!("it names an address that is none: {error}"));
        let next = Url::parse(from).and_then(|from| from.join(to)).map_err(nowhere)?;
        let plain = next.username().is_empty() && next.password().is_none();
        if plain && next.origin() == self.base.origin() {
            return Ok(next.into());
        }
        Err(Astray::Abroad(origin(&next)))
    }

    /// Sends a request once.
    pub(super) fn send(
        &self,
        verb: Verb,
        address: &str,
        tag: Option<&str>,
        body: Option<String>,
    ) -> Result<Answer, Silence> {
        let mut request = self.client.request(verb.method(), address).timeout(self.timeout);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().map_err(|error| self.silence(error))?;
        let mut answer = Answer { status: response.status().as_u16(), ..Answer::default() };
        for (name, value) in response.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            answer.headers.insert(name.as_str().to_owned(), value);
        }
        answer.body = response.bytes().map_err(|error| self.silence(error))?.to_vec();
        Ok(answer)
    }

    fn silence(&self, error: reqwest::Error) -> Silence {
        let arrived = !error.is_connect();
        let why = self.token.cover(&chain(&error.without_url()));
        Silence { arrived, distrust: !arrived && why.contains("certificate"), why }
    }
}

fn headers(token: &Token) -> Result<HeaderMap, PublishError> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.secret()))
        .map_err(|_invalid| wrong("the token is none", "check GITHUB_TOKEN"))?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert("x-github-api-version", HeaderValue::from_static(VERSION));
    Ok(headers)
}

/// The address of the API, if it is one.
fn parsed(base: &str) -> Result<Url, PublishError> {
    let url = Url::parse(base.trim()).map_err(|error| {
        wrong(&format!("the address of GitHub's API is none: {error}"), NAME_THE_API)
    })?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain {
        Ok(url)
    } else {
        Err(wrong("the address of GitHub's API has parts that it must not have", NAME_THE_API))
    }
}

fn wrong(what: &str, next: &str) -> PublishError {
    PublishError::Setup { what: what.to_owned(), next: next.to_owned() }
}

/// An address up to its host and port.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(base: &str) -> Result<Wire, PublishError> {
        let token = Token::new("ghs_16C7e42F292c6912E7")?;
        Wire::open(base, &token, &Proxies::Direct, Timeouts::default())
    }

    #[test]
    fn a_path_comes_after_the_base_with_or_without_one() {
        for (base, expected) in [
            ("https://api.github.com", "https://api.github.com/user?a=b"),
            ("https://api.github.com/", "https://api.github.com/user?a=b"),
            ("https://ghe.acme.example/api/v3", "https://ghe.acme.example/api/v3/user?a=b"),
            (
                " https://ghe.acme.example:8443/api/v3/\n",
                "https://ghe.acme.example:8443/api/v3/user?a=b",
            ),
        ] {
            assert_eq!(wire(base).unwrap().address("/user?a=b").as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_address_that_would_go_elsewhere_is_none() {
        let wire = wire("https://ghe.acme.example/api/v3").unwrap();
        for path in ["/repos/a/b/labels/..", "/a/%2e%2E/b", "/a/./b", "/a b", "/a\\b"] {
            assert_eq!(wire.address(path), None, "{path}");
        }
        let encoded = wire.address("/labels/data%2Frisk%20high%3F%23").unwrap();
        assert_eq!(encoded, "https://ghe.acme.example/api/v3/labels/data%2Frisk%20high%3F%23");
    }

    #[test]
    fn the_token_goes_nowhere_but_to_its_host() {
        let wire = wire("https://ghe.acme.example/api/v3").unwrap();
        let from = "https://ghe.acme.example/api/v3/user";
        for to in ["/repositories/5", "https://ghe.acme.example:443/x?page=2", "x"] {
            assert!(wire.onward(from, to).is_ok(), "{to}");
        }
        for to in [
            "http://ghe.acme.example/x",
            "https://ghe.acme.example:8443/x",
            "https://evil.example/x",
            "//evil.example/x",
            "https://ghe.acme.example.evil.example/x",
            "https://ghe.acme.example@evil.example/x",
            "https://ada:secret@ghe.acme.example/x",
            "file:///etc/passwd",
        ] {
            let Err(Astray::Abroad(host)) = wire.onward(from, to) else { unreachable!("{to}") };
            assert!(!host.contains("secret") && !host.ends_with("/x"), "{host}");
        }
        assert!(matches!(wire.onward(from, "https://[oops"), Err(Astray::Nowhere(_))));
    }

    #[test]
    fn what_is_no_address_is_refused_before_anything_is_asked() {
        for base in [
            "",
            "api.github.com",
            "ftp://api.github.com",
            "https://ada:secret@api.github.com",
            "https://api.github.com?x=y",
            "https://",
        ] {
            let Err(error) = wire(base) else { unreachable!("{base}") };
            assert!(!error.to_string().contains("secret"));
            assert!(error.next().contains("GITHUB_API_URL"), "{base}: {error}");
        }
        let token = Token::new("x").unwrap();
        let proxies = Proxies::Through("http://[oops".to_owned());
        let opened = Wire::open("https://x", &token, &proxies, Timeouts::default());
        assert!(matches!(opened, Err(PublishError::Setup { .. })));
    }
}
