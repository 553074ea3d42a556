//! The settings of the Airflow that runs an env's jobs.

/// Which REST API an Airflow has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Of 2.x.
    V1,
    /// Of 3.0 and later.
    V2,
}

/// How an Airflow is asked. No secret is a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// By anybody.
    None,
    /// With a name and a password.
    Basic,
    /// With a token that somebody made.
    Token,
    /// With a token of Google's, by Application Default Credentials.
    Google,
}

const APIS: [(&str, Api); 2] = [("v1", Api::V1), ("v2", Api::V2)];

const AUTHS: [(&str, Auth); 4] = [
    ("none", Auth::None),
    ("basic", Auth::Basic),
    ("token", Auth::Token),
    ("google", Auth::Google),
];

/// What the ids of DAGs begin with when nobody says.
const USUAL_PREFIX: &str = "chronon";

/// How many minutes a DAG is waited for when nobody says.
const USUAL_WAIT: u32 = 10;

/// What is set under `env.*.airflow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Airflow {
    /// Whether it runs the jobs.
    pub runs: bool,
    /// Where its webserver is.
    pub url: Option<String>,
    /// Which API it has; none where it is asked for that.
    pub api: Option<Api>,
    /// How it is asked; none where the environment decides.
    pub auth: Option<Auth>,
    /// Whether `ci` leaves what it starts to Airflow and collects it later.
    pub detaches_ci: bool,
    prefix: Option<String>,
    wait: Option<u32>,
}

impl Airflow {
    /// What the ids of DAGs begin with.
    pub fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or(USUAL_PREFIX)
    }

    /// How many minutes a DAG is waited for that Airflow does not know yet.
    pub fn wait(&self) -> u32 {
        self.wait.unwrap_or(USUAL_WAIT)
    }

    /// The Airflow at its address, so that it equals another spelling of it; none where each machine
    /// has its own.
    pub(super) fn site(&self) -> Option<String> {
        let (scheme, rest) = self.url.as_deref()?.trim().split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(usual).unwrap_or(&host);
        let name = host.rsplit_once(':').filter(|it| !it.1.contains(']')).map_or(host, |it| it.0);
        let numbers = name.split('.').all(|it| it.parse::<u8>().is_ok());
        let own = matches!(name, "localhost" | "[::1]") || numbers && name.starts_with("127.");
        (!own).then(|| format!("{scheme}://{host}/{}", path.trim_end_matches('/')))
    }

    /// What Airflow would not take: no DAG of that name would be imported.
    pub(super) fn wrong(&self) -> Option<(&'static [&'static str], String)> {
        const LONGEST: usize = 40;
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let prefix = self.prefix();
        let sound = (1..=LONGEST).contains(&prefix.len()) && prefix.chars().all(fits);
        let what = format!(
            "`{prefix}` begins no name of a DAG: 1 to {LONGEST} letters, digits, `_`, `-` and `.`"
        );
        (!sound).then_some((&["airflow", "prefix"], what))
    }

    pub(super) fn keep(&mut self, name: &str, value: Option<String>) {
        let word = value.as_deref().unwrap_or_default();
        match name {
            "api" => self.api = APIS.iter().find(|row| row.0 == word).map(|row| row.1),
            "auth" => self.auth = AUTHS.iter().find(|row| row.0 == word).map(|row| row.1),
            "detach" => self.detaches_ci = word == "ci",
            "wait" => self.wait = word.parse().ok(),
            "prefix" => self.prefix = value,
            "url" => self.url = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::settings::read;

    #[test]
    fn only_what_surely_is_one_airflow_or_one_folder_clashes() {
        let two = |ours: (&str, &str), theirs: (&str, &str)| {
            let env = |name: &str, it: (&str, &str)| {
                format!("[env.{name}.airflow]\ndags = '{}'\nurl = '{}'\n", it.0, it.1)
            };
            let text = format!("{}{}", env("canary", ours), env("prod", theirs));
            read(&text).err().map_or(String::new(), |it| it[0].what.clone())
        };
        let (a, b) = ("https://a.example", "https://b.example");
        for (ours, theirs, says) in [
            (("gs://x/dags", a), ("gs://x/dags/", b), "publishes there too"),
            (("gs://x/dags", a), ("gs://y/dags", a), "another `airflow.prefix`"),
            (
                ("gs://x/dags", a),
                ("gs://y/dags", "https://A.example:443/"),
                "another `airflow.prefix`",
            ),
            (("gs://x/dags", "http://a/p/"), ("gs://y/dags", "HTTP://a:80/p"), "another `airflow"),
            (("gs://x/dags", a), ("gs://y/dags", b), ""),
            (("gs://x/dags", a), ("gs://y/dags", "https://a.example:8443"), ""),
            (("gs://x/dags", a), ("gs://y/dags", "https://a.example/other"), ""),
            (("gs://x/dags", "http://localhost:8080"), ("y", "http://localhost:8080"), ""),
            (
                ("gs://x/dags", "http://localhost-a"),
                ("gs://y/dags", "http://localhost-a"),
                "another",
            ),
            (("x", "http://127.0.0.1"), ("x", "http://127.0.0.1"), ""),
            (("x", "http://127.0.0.1:8080"), ("x", "http://127.0.0.1:8080"), ""),
            (("x", "http://[::1]:8080"), ("./x/", "http://[::1]:8080"), ""),
        ] {
            let said = two(ours, theirs);
            assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{ours:?}: {said}");
        }
    }

    #[test]
    fn what_is_set_for_airflow_is_read_and_has_defaults() {
        let text = "[env.prod]\nrunner = 'airflow'\n[env.prod.airflow]\nurl = 'https://a.b'\n\
                    dags = 'gs://b/dags'\napi = 'v2'\nauth = 'google'\nprefix = 'x'\nwait = 0\ndetach = 'ci'\n";
        let airflow = &read(text).unwrap().envs["prod"].airflow;
        let of = (airflow.runs, airflow.api, airflow.auth, airflow.detaches_ci);
        assert_eq!(of, (true, Some(Api::V2), Some(Auth::Google), true));
        assert_eq!((airflow.prefix(), airflow.wait()), ("x", 0));
        assert_eq!(airflow.url.as_deref(), Some("https://a.b"));
        let none = &read("[env.prod]\n").unwrap().envs["prod"].airflow;
        assert_eq!((none.runs, none.api, none.auth, none.detaches_ci), (false, None, None, false));
        assert_eq!((none.prefix(), none.wait()), ("chronon", 10));
        let text = "[env.prod.airflow]\nprefix = 'a/b'\nsensor = 'delta'\n";
        let mistakes = read(text).unwrap_err();
        let told: Vec<_> = mistakes.iter().map(|it| (it.line, it.setting.as_str())).collect();
        assert_eq!(told, [(2, "env.prod.airflow.prefix"), (3, "env.prod.airflow.sensor")]);
        let mistakes = read("[env.prod.airflow]\npassword = 'x'\nauth = 'ldap'\n").unwrap_err();
        let told: Vec<&str> = mistakes.iter().map(|it| it.what.as_str()).collect();
        assert_eq!(
            told,
            ["no such setting", "`ldap` is none of `none`, `basic`, `token`, `google`"]
        );
    }
}
