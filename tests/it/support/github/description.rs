//! GitHub's published description of its API, as `make test` leaves it: which calls there are, and
//! what a request and an answer may say.
//!
//! # Why
//! A fake that only its author has checked agrees with its author's mistakes. Whatever goes in or
//! out of this one is held against GitHub's own words, and objects are closed on both sides: the
//! program may not send what GitHub does not know, and may not read what GitHub does not send.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use serde_json::json;

/// The prefix that test authors need not write.
const REPO: &str = "/repos/{owner}/{repo}";

/// What cannot be read is told to every test, not to the first alone.
static DESCRIPTION: LazyLock<Result<Description, String>> = LazyLock::new(Description::load);

/// All calls that are described, and the errors that any of them may answer.
struct Description {
    calls: BTreeMap<String, Operation>,
    validation: Validator,
    any: Validator,
}

/// One call: a method and a template of a path.
pub(super) struct Operation {
    pub(super) name: String,
    /// The page that GitHub's errors name.
    pub(super) documentation: String,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    responses: BTreeMap<u16, Option<Validator>>,
}

struct Parameter {
    in_path: bool,
    name: String,
    required: bool,
    kind: String,
    schema: Validator,
}

struct Body {
    required: bool,
    schema: Validator,
}

impl Description {
    fn load() -> Result<Self, String> {
        let file = crate::support::project().join("target/tools/github-openapi.json");
        let text = std::fs::read(&file).map_err(|error| {
            let file = file.display();
            format!("GitHub's description is not there; `make test` makes it: {file}: {error}")
        })?;
        let whole: Value = serde_json::from_slice(&text).unwrap();
        let calls = whole["calls"].as_object().unwrap();
        let compiled = |schema: &Value| compile(schema, &whole["components"]);
        let calls =
            calls.iter().map(|(name, call)| (name.clone(), Operation::load(name, call, &compiled)));
        Ok(Self {
            calls: calls.collect(),
            validation: compiled(&whole["errors"]["422"]),
            any: compiled(&whole["errors"]["any"]),
        })
    }
}

fn description() -> &'static Description {
    DESCRIPTION.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// A schema that refers to others.
fn compile(schema: &Value, components: &Value) -> Validator {
    let mut root = schema.clone();
    root["components"] = components.clone();
    jsonschema::options().should_validate_formats(true).build(&root).unwrap()
}

impl Operation {
    fn load(name: &str, call: &Value, compiled: &impl Fn(&Value) -> Validator) -> Self {
        let parameter = |it: &Value| Parameter {
            in_path: it["in"] == "path",
            name: it["name"].as_str().unwrap().to_owned(),
            required: it["required"] == true,
            kind: it["schema"]["type"].as_str().unwrap().to_owned(),
            schema: compiled(&it["schema"]),
        };
        let body = &call["body"];
        let body = body.is_object().then(|| Body {
            required: body["required"] == true,
            schema: compiled(&body["schema"]),
        });
        let response = |(status, schema): (&String, &Value)| {
            (status.parse().unwrap(), schema.is_object().then(|| compiled(schema)))
        };
        Self {
            name: name.to_owned(),
            documentation: call["documentation"].as_str().unwrap().to_owned(),
            parameters: call["parameters"].as_array().unwrap().iter().map(parameter).collect(),
            body,
            responses: call["responses"].as_object().unwrap().iter().map(response).collect(),
        }
    }

    /// What the path says in the places of this call's template; none where it is another's.
    fn matches(&self, method: &str, path: &[String]) -> Option<BTreeMap<String, String>> {
        let (own, template) = self.name.split_once(' ')?;
        let template: Vec<&str> = template.split('/').skip(1).collect();
        if own != method || template.len() != path.len() {
            return None;
        }
        let mut said = BTreeMap::new();
        for (part, given) in template.iter().zip(path) {
            match part.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                Some(name) => drop(said.insert(name.to_owned(), given.clone())),
                None if part == given => {}
                None => return None,
            }
        }
        Some(said)
    }

    /// What is wrong with the parameters of a request.
    pub(super) fn wrong_parameters(
        &self,
        path: &BTreeMap<String, String>,
        query: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for it in &self.parameters {
            let given = if it.in_path { path.get(&it.name) } else { query.get(&it.name) };
            match given {
                None if it.required => wrong.push(format!("parameter `{}` is missing", it.name)),
                None => {}
                Some(text) => {
                    let said = errors(&it.schema, &typed(text, &it.kind));
                    wrong.extend(said.into_iter().map(|what| format!("`{}`: {what}", it.name)));
                }
            }
        }
        let known =
            |name: &String| self.parameters.iter().any(|it| !it.in_path && it.name == *name);
        let unknown = query.keys().filter(|name| !known(name));
        wrong.extend(unknown.map(|name| format!("parameter `{name}` is unknown")));
        wrong
    }

    /// What is wrong with the body of a request; null is none.
    pub(super) fn wrong_body(&self, body: &Value) -> Vec<String> {
        match &self.body {
            None if body.is_null() => Vec::new(),
            None => vec!["this call takes no body".to_owned()],
            Some(expected) if body.is_null() && !expected.required => Vec::new(),
            Some(expected) => errors(&expected.schema, body),
        }
    }

    /// What is wrong with an answer; null is an empty one.
    pub(super) fn wrong_answer(&self, status: u16, body: &Value) -> Vec<String> {
        // Every GET may be answered so, whether its own page says it or not.
        if status == 304 && self.name.starts_with("GET ") {
            return if body.is_null() { Vec::new() } else { vec!["304 has a body".to_owned()] };
        }
        let schema = match (self.responses.get(&status), status) {
            (Some(Some(schema)), _) => schema,
            (Some(None), ..400) => {
                return if body.is_null() {
                    Vec::new()
                } else {
                    vec!["a body is not described".to_owned()]
                };
            }
            (_, 422) => &description().validation,
            (_, 400..) => &description().any,
            (None, _) => return vec![format!("status {status} is not described")],
        };
        errors(schema, body)
    }
}

/// The call that a request is, and what its path says.
pub(super) fn find(
    method: &str,
    path: &[String],
) -> Option<(&'static Operation, BTreeMap<String, String>)> {
    let calls = description().calls.values();
    calls.filter_map(|call| Some((call, call.matches(method, path)?))).next()
}

/// The names of all calls.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    description().calls.keys().map(String::as_str)
}

/// The full name of a call: tests may leave out the repository.
pub(super) fn full(name: &str) -> String {
    let (method, path) = name.split_once(' ').unwrap_or_default();
    let full = [name.to_owned(), format!("{method} {REPO}{path}")];
    let known = full.into_iter().find(|it| description().calls.contains_key(it));
    known.unwrap_or_else(|| panic!("GitHub's description, as it is cut here, has no `{name}`"))
}

/// A text of an address as the value that it stands for.
fn typed(text: &str, kind: &str) -> Value {
    let read = match kind {
        "integer" => text.parse().ok().map(|it: i64| json!(it)),
        "boolean" => text.parse().ok().map(|it: bool| json!(it)),
        _ => None,
    };
    read.unwrap_or_else(|| json!(text))
}

fn errors(schema: &Validator, value: &Value) -> Vec<String> {
    let one = |error: jsonschema::ValidationError<'_>| {
        let what: String = error.to_string().chars().take(300).collect();
        format!("{}: {what}", error.instance_path)
    };
    schema.iter_errors(value).map(one).collect()
}
