//! The hidden first line of a comment: which comment this is, and which plans it showed before.
//!
//! # Why
//! A comment is found again and edited in place, so it must say of which env it is; and what it
//! said earlier must not be lost. Whoever may edit comments may edit this line too: nothing is
//! decided by it, and what it says of earlier plans is shown only where it is exactly in form.

use serde::Serialize;
use serde_json::Value;

use crate::model::day::Day;

const OPEN: &str = "<!-- chronon-plan ";
const CLOSE: &str = " -->";

/// How many earlier plans are remembered.
pub const EARLIER: usize = 10;

/// Of an env's name so many bytes are kept: no more tell envs apart.
const LONGEST_ENV: usize = 128;

/// A longer address than this leads to no run.
const LONGEST_RUN: usize = 256;

/// What the first line of a comment tells the next run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Marker {
    /// The env: there is one comment for each.
    pub env: String,
    /// The commit that was planned; empty where it is not known.
    pub head: String,
    /// The digest of the plan; empty where none could be made.
    pub digest: String,
    /// When, as RFC 3339.
    pub at: String,
    /// The address of the run; empty where there is none.
    pub run: String,
    /// The plans before this one, newest first.
    pub earlier: Vec<Earlier>,
}

/// A plan that the comment showed before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// The commit.
    pub head: String,
    /// The digest.
    pub digest: String,
    /// When, as RFC 3339.
    pub at: String,
    /// The address of the run; empty where there was none.
    pub run: String,
}

impl Earlier {
    /// Whether every part is exactly in form.
    pub(super) fn is_sound(&self) -> bool {
        is_commit(&self.head)
            && is_digest(&self.digest)
            && is_time(&self.at)
            && (self.run.is_empty() || is_run(&self.run))
    }
}

impl Marker {
    /// The marker as the line that hides it, without a line end.
    ///
    /// Nothing in it ends the comment, is more than plain ASCII, or could be a mention.
    pub fn line(&self) -> String {
        let short = Self { env: known(&self.env).to_owned(), ..self.clone() };
        let json = serde_json::to_string(&short).unwrap_or_default();
        let mut line = String::from(OPEN);
        let mut last = ' ';
        for c in json.chars() {
            let plain = c.is_ascii_alphanumeric() || "{}[]\":,./\\_ ".contains(c);
            if plain || (c == '-' && last != '-') {
                line.push(c);
            } else {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units).iter();
                line.extend(units.map(|unit| format!("\\u{unit:04x}")));
            }
            last = c;
        }
        line + CLOSE
    }

    /// The marker of a comment; none where its first line is not one.
    ///
    /// Parts that are not in form are left empty, earlier plans that are not are left out.
    pub fn read(body: &str) -> Option<Self> {
        let line = body.split('\n').next()?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        let json = line.strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
        let value: Value = serde_json::from_str(json).ok()?;
        let env = value.get("env")?.as_str()?.to_owned();
        let own = entry(&value);
        let earlier = value.get("earlier").and_then(Value::as_array);
        let earlier = earlier.into_iter().flatten().map(entry).filter(Earlier::is_sound);
        Some(Self {
            env,
            head: kept(own.head, is_commit),
            digest: kept(own.digest, is_digest),
            at: kept(own.at, is_time),
            run: kept(own.run, is_run),
            earlier: earlier.take(EARLIER).collect(),
        })
    }

    /// Whether this is the marker of an env's comment.
    pub fn is_of(&self, env: &str) -> bool {
        known(&self.env) == known(env)
    }

    /// The earlier plans of a comment that now shows this plan: those before, and the one that it
    /// showed, if that was another.
    pub fn before(&self, head: &str, digest: &str) -> Vec<Earlier> {
        let Self { head: own, digest: shown, at, run, .. } = self.clone();
        let shown = Earlier { head: own, digest: shown, at, run };
        let is_new = |it: &Earlier| (it.head.as_str(), it.digest.as_str()) != (head, digest);
        let all = std::iter::once(shown).chain(self.earlier.iter().cloned());
        all.filter(|it| it.is_sound() && is_new(it)).take(EARLIER).collect()
    }
}

/// As much of an env's name as is kept.
fn known(env: &str) -> &str {
    &env[..env.floor_char_boundary(LONGEST_ENV)]
}

/// A text that is in form, else an empty one.
pub(super) fn kept(text: String, form: fn(&str) -> bool) -> String {
    if form(&text) { text } else { String::new() }
}

/// Four texts of an object; what is none is empty.
fn entry(value: &Value) -> Earlier {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Earlier { head: text("head"), digest: text("digest"), at: text("at"), run: text("run") }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A whole commit id.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_hex(text)
}

/// A whole digest.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hash| hash.len() == 64 && is_hex(hash))
}

/// A time as RFC 3339 writes it.
pub(super) fn is_time(text: &str) -> bool {
    let Some((day, rest)) = text.split_once('T').filter(|_| text.is_ascii()) else { return false };
    let (Some(clock), Some(rest)) = (rest.get(..8), rest.get(8..)) else { return false };
    let parts: Vec<&str> = clock.split(':').collect();
    let is_clock =
        parts.len() == 3 && [23, 59, 60].iter().zip(&parts).all(|it| is_up_to(*it.0, it.1));
    day.len() == 10 && day.parse::<Day>().is_ok() && is_clock && is_zone(without_fraction(rest))
}

/// Two digits, of a number that is not too large.
fn is_up_to(most: u32, text: &str) -> bool {
    let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    digits && text.parse().is_ok_and(|it: u32| it <= most)
}

/// What stands behind the fraction of a second, if there is one.
fn without_fraction(text: &str) -> &str {
    let Some(digits) = text.strip_prefix('.') else { return text };
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if (1..=9).contains(&(digits.len() - rest.len())) { rest } else { text }
}

fn is_zone(text: &str) -> bool {
    let offset = text.strip_prefix(['+', '-']).and_then(|it| it.split_once(':'));
    text == "Z" || offset.is_some_and(|it| is_up_to(23, it.0) && is_up_to(59, it.1))
}

/// How long the address of a page may be.
const LONGEST_PAGE: usize = 2_000;

/// Whether a text is the address of a page and nothing else: what could end a link, or start
/// something new, is not in it.
pub(super) fn is_page(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let (host, path) = rest.and_then(|it| it.split_once('/')).unwrap_or_default();
    let word = |text: &str, more: &[u8]| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    !host.is_empty()
        && host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word(host, b".-:")
        && word(path, b"._~/?&=%+:-")
        && text.len() <= LONGEST_PAGE
}

/// The address of a run of a workflow: nothing in it could end a link.
pub(super) fn is_run(text: &str) -> bool {
    let number =
        |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let word = |text: &&str| {
        !["", ".", ".."].contains(text)
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let Some((place, run)) = text.strip_prefix("https://").and_then(|it| it.split_once(RUNS))
    else {
        return false;
    };
    let parts: Vec<&str> = place.split('/').collect();
    let host = parts[0].split_once(':').map_or(
        parts[0],
        |(host, port)| {
            if number(port) { host } else { "" }
        },
    );
    let run: Vec<&str> = run.split('/').collect();
    let ending = match run.as_slice() {
        [id] => number(id),
        [id, "attempts" | "job", it] => number(id) && number(it),
        _ => false,
    };
    text.len() <= LONGEST_RUN
        && (3..=8).contains(&parts.len())
        && word(&host)
        && parts[1..].iter().all(word)
        && ending
}

/// What stands between a repository's address and the number of a run.
const RUNS: &str = "/actions/runs/";

/// Whether two addresses are of runs in one repository.
pub(super) fn are_siblings(one: &str, other: &str) -> bool {
    let place = |run: &str| run.split_once(RUNS).map(|it| it.0.to_owned());
    is_run(one) && is_run(other) && place(one) == place(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_an_address_and_nothing_else() {
        for text in [
            "https://airflow.acme.example/dags/chronon_job/runs/chronon-plan__0f",
            "http://127.0.0.1:8080/x/dags/a/grid?dag_run_id=b&task_id=c%2Fd&tab=logs",
        ] {
            assert!(is_page(text), "{text}");
        }
        for text in [
            "",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "ftp://a.b/c",
            "https://a.b/c d",
            "https://a.b/c)[x](y",
            "https://a.b/<b>",
            "https://a.b/c\n# d",
            "https://u@a.b/c",
            "https://a.b/`x`",
            "https://a.b/\"t\"",
        ] {
            assert!(!is_page(text), "{text}");
        }
    }

    const RUN: &str = "https://github.com/acme/features/actions/runs/123456";

    fn earlier(at: usize) -> Earlier {
        Earlier {
            head: format!("{at:040x}"),
            digest: format!("sha256:{at:064x}"),
            at: "2026-11-22T12:00:00Z".to_owned(),
            run: RUN.to_owned(),
        }
    }

    fn marker() -> Marker {
        let Earlier { head, digest, at, run } = earlier(7);
        Marker {
            env: "prod".to_owned(),
            head,
            digest,
            at,
            run,
            earlier: vec![earlier(6), earlier(5)],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for env in
            ["prod", "", "a--b", "-->", "--!>", "<!--", "@org/team #1", "列\u{202e}🎉", "a\\\"b\n"]
        {
            let marker = Marker { env: env.to_owned(), ..marker() };
            let line = marker.line();
            let inner = line.strip_prefix("<!--").unwrap().strip_suffix("-->").unwrap();
            assert!(!inner.contains("--") && !inner.contains(['<', '>', '@', '#']), "{line}");
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line}");
            for rest in ["", "\n### x", "\r\n### x\r\n"] {
                assert_eq!(Marker::read(&format!("{line}{rest}")), Some(marker.clone()));
            }
        }
    }

    #[test]
    fn only_the_first_line_counts() {
        let line = marker().line();
        for body in [
            format!("\n{line}"),
            format!(" {line}"),
            format!("{line} more"),
            format!("> {line}"),
            line.replace("chronon-plan", "another-tool"),
            line.replace("{\"env\"", "{\"name\""),
            line.replacen('{', "", 1),
            String::new(),
            "<!-- chronon-plan -->".to_owned(),
        ] {
            assert_eq!(Marker::read(&body), None, "{body}");
        }
    }

    #[test]
    fn what_was_edited_is_left_out() {
        let broken = [
            r#"{"head":"0","digest":"","at":"","run":""}"#,
            r#"{"head":"@org/team"}"#,
            "7",
            "null",
            "[[]]",
        ];
        let sound = serde_json::to_string(&earlier(1)).unwrap();
        for broken in broken {
            let body = format!(
                "<!-- chronon-plan {{\"env\":\"prod\",\"head\":[],\"run\":\"javascript:x\",\
                 \"earlier\":[{broken},{sound}]}} -->"
            );
            let read = Marker::read(&body).unwrap();
            assert_eq!(read.earlier, [earlier(1)]);
            assert_eq!((read.head.as_str(), read.run.as_str()), ("", ""));
        }
        let many: Vec<Earlier> = (0..50).map(earlier).collect();
        let read = Marker::read(&Marker { earlier: many, ..marker() }.line()).unwrap();
        assert_eq!(read.earlier.len(), EARLIER);
        let other = "<!-- chronon-plan {\"env\":\"prod\",\"earlier\":{}} -->";
        assert_eq!(Marker::read(other).unwrap().earlier, []);
    }

    #[test]
    fn a_plan_that_is_shown_still_is_no_earlier_one() {
        let marker = marker();
        assert_eq!(marker.before(&marker.head, &marker.digest), [earlier(6), earlier(5)]);
        let next = earlier(8);
        assert_eq!(marker.before(&next.head, &next.digest), [earlier(7), earlier(6), earlier(5)]);
        // A comment that showed no plan adds none.
        let failed = Marker { digest: String::new(), ..marker };
        assert_eq!(failed.before(&next.head, &next.digest), [earlier(6), earlier(5)]);
    }

    #[test]
    fn only_what_is_exactly_a_time_is_one() {
        for time in
            ["2026-11-22T12:00:00Z", "2026-11-22T23:59:60.123+05:30", "2024-02-29T00:00:00-00:00"]
        {
            assert!(is_time(time), "{time}");
        }
        for time in [
            "",
            "2026-11-22",
            "2026-11-22T12:00Z",
            "2026-11-22T12:00:00",
            "2026-11-22 12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:60:00Z",
            "2026-11-22T1:00:000Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00Z ",
            "2026-11-22T12:00:00Z\n",
            "2026-11-22T12:00:00+5:30",
            "20261122T12:00:00Z",
            "2026-11-22T12:00:00.1234567890Z",
            "2026-11-22T12:00:0é",
        ] {
            assert!(!is_time(time), "{time}");
        }
    }

    #[test]
    fn only_what_is_exactly_the_address_of_a_run_is_one() {
        for run in [
            RUN,
            "https://github.com/a/b.c-d_e/actions/runs/1/attempts/2",
            "https://ghe.example.com:8443/a/b/actions/runs/1/job/2",
            "https://example.com/github/a/b/actions/runs/1",
        ] {
            assert!(is_run(run), "{run}");
        }
        for run in [
            "",
            "http://github.com/a/b/actions/runs/1",
            "https://github.com/actions/runs/1",
            "https://github.com/a/actions/runs/1",
            "https://github.com/a/b/actions/runs/",
            "https://github.com/a/b/actions/runs/x",
            "https://github.com/a/b/actions/runs/1)",
            "https://github.com/a/b/actions/runs/1?x",
            "https://github.com/a/../actions/runs/1",
            "https://e@github.com/a/b/actions/runs/1",
            "https://github.com/a/b\n/actions/runs/1",
            "https://github.com/a/(b/actions/runs/1",
            "https:///a/b/actions/runs/1",
            "javascript://github.com/a/b/actions/runs/1",
            "https://github.com/a/b/actions/runs/1/",
        ] {
            assert!(!is_run(run), "{run}");
        }
        assert!(!is_run(&format!("https://github.com/{}/b/actions/runs/1", "a".repeat(256))));
        assert!(are_siblings(RUN, &format!("{RUN}/attempts/2")));
        assert!(!are_siblings(RUN, "https://github.com/other/features/actions/runs/1"));
        assert!(!are_siblings("", "") && !are_siblings(RUN, ""));
    }
}
