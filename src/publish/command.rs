//! What a comment tells the tool to do: `/chronon-plan apply --target 'group_bys/payments.*'`.
//!
//! # Why
//! The words are written by a person and read by nothing else: no shell sees them, so quotes and
//! backslashes are resolved here and everything else stands for itself. A word that is not
//! understood stops the command, because what would be left of it might do more than was meant.

use crate::plan::nearest;

/// What a comment starts with that is meant for the tool.
const CALL: &str = "/chronon-plan";

/// A command in a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub verb: Verb,
    /// Only for these configs; empty for all.
    pub targets: Vec<String>,
    /// Only in this env.
    pub env: Option<String>,
    /// Configs whose tables have been archived or dropped.
    pub archived: Vec<String>,
    /// Steps that were done by hand.
    pub done: Vec<String>,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Plans.
    Plan,
    /// Applies.
    Apply,
}

#[rustfmt::skip] // one verb, one line
const VERBS: [(&str, Verb); 2] = [
    ("plan", Verb::Plan),
    ("apply", Verb::Apply),
];

/// Every flag, what follows it, and the verb that alone takes it.
#[rustfmt::skip] // one flag, one line
const FLAGS: [(&str, &str, Option<Verb>); 4] = [
    ("--target", "GLOB", None),
    ("--env", "NAME", None),
    ("--archived", "CONFIG", Some(Verb::Apply)),
    ("--done", "STEP", Some(Verb::Apply)),
];

impl Command {
    /// Reads the first line of a comment; none where the comment is not meant for the tool.
    /// Mistakes come in one text, all of them.
    pub fn read(body: &str) -> Option<Result<Self, String>> {
        let rest = body.lines().next()?.strip_prefix(CALL)?;
        if rest.starts_with(|c: char| !c.is_whitespace()) {
            return None;
        }
        Some(words(rest).and_then(|words| Self::of(&words)))
    }

    fn of(words: &[String]) -> Result<Self, String> {
        let Some((first, rest)) = words.split_first() else {
            return Err(format!("what to do? `{CALL} plan` or `{CALL} apply`"));
        };
        let Some((_, verb)) = VERBS.iter().find(|row| row.0 == first) else {
            let near = nearest(first, VERBS.iter().map(|row| row.0));
            return Err(format!("`{first}` is neither `plan` nor `apply`{near}"));
        };
        let mut command = Self {
            verb: *verb,
            targets: Vec::new(),
            env: None,
            archived: Vec::new(),
            done: Vec::new(),
        };
        let mut mistakes = Vec::new();
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            match command.check(flag) {
                Err(mistake) => mistakes.push(mistake),
                Ok(placeholder) => match value.or_else(|| rest.next().cloned()) {
                    Some(value) if !value.is_empty() && !value.starts_with("--") => {
                        mistakes.extend(command.take(flag, value).err());
                    }
                    _ => mistakes.push(format!("`{flag}` needs a value: `{flag} {placeholder}`")),
                },
            }
        }
        if mistakes.is_empty() { Ok(command) } else { Err(mistakes.join("; ")) }
    }

    /// What follows a flag, where the verb takes it.
    fn check(&self, flag: &str) -> Result<&'static str, String> {
        let Some((_, placeholder, only)) = FLAGS.iter().find(|row| row.0 == flag) else {
            let near = nearest(flag, FLAGS.iter().map(|row| row.0));
            return Err(format!("`{flag}` is not known{near}"));
        };
        match only {
            Some(verb) if *verb != self.verb => Err(format!("`{flag}` is for `{CALL} apply`")),
            _ => Ok(placeholder),
        }
    }

    fn take(&mut self, flag: &str, value: String) -> Result<(), String> {
        match flag {
            "--target" => self.targets.push(value),
            "--archived" => self.archived.push(value),
            "--done" => self.done.push(value),
            _ => match &self.env {
                Some(env) if *env != value => {
                    return Err("`--env` is given twice: one comment for each env".to_owned());
                }
                _ => self.env = Some(value),
            },
        }
        Ok(())
    }
}

/// The words of a line, as a shell would see them: quotes and backslashes are resolved, nothing
/// else is.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => {
                let next = chars.next().ok_or("nothing follows the last `\\`")?;
                word.get_or_insert_default().push(next);
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    match quote {
        Some(open) => Err(format!("the quote {open} is not closed")),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Command {
        Command::read(body).unwrap().unwrap()
    }

    fn mistake(body: &str) -> String {
        Command::read(body).unwrap().unwrap_err()
    }

    #[test]
    fn what_is_not_meant_for_the_tool_is_left_alone() {
        for body in [
            "",
            "\n",
            "looks good",
            "/chronon-planner plan",
            "/chronon-plan-plan",
            " /chronon-plan plan",
            "\n/chronon-plan plan",
            "> /chronon-plan plan",
            "`/chronon-plan plan`",
            "please /chronon-plan plan",
        ] {
            assert_eq!(Command::read(body), None, "{body:?}");
        }
    }

    #[test]
    fn commands_are_read_with_their_flags() {
        let plain = read("/chronon-plan plan");
        assert_eq!((plain.verb, plain.targets, plain.env), (Verb::Plan, vec![], None));
        let all = read(
            "/chronon-plan  apply\t--target 'group_bys/payments.*' --target=joins/a\\ b --env prod \
             --archived \"joins/risk.\\\"v1\\\"\" --done 'joins/x#backfill' --done=joins/y#backfill",
        );
        assert_eq!(all.verb, Verb::Apply);
        assert_eq!(all.targets, ["group_bys/payments.*", "joins/a b"]);
        assert_eq!(all.env.as_deref(), Some("prod"));
        assert_eq!(all.archived, ["joins/risk.\"v1\""]);
        assert_eq!(all.done, ["joins/x#backfill", "joins/y#backfill"]);
    }

    #[test]
    fn only_the_first_line_counts_and_how_it_ends_does_not() {
        let one = read("/chronon-plan plan --env prod");
        for body in [
            "/chronon-plan plan --env prod\r\n",
            "/chronon-plan plan --env prod\r\n\r\nBecause the base moved: --target x 'unclosed",
            "/chronon-plan plan --env prod\n/chronon-plan apply",
        ] {
            assert_eq!(read(body), one, "{body:?}");
        }
    }

    #[test]
    fn no_shell_is_behind_it() {
        let command = read("/chronon-plan plan --target $(id);`id`&&* --target '$HOME'");
        assert_eq!(command.targets, ["$(id);`id`&&*", "$HOME"]);
    }

    #[test]
    fn every_mistake_is_named_with_what_was_meant() {
        let all = mistake("/chronon-plan apply --targte x --env --done");
        assert!(all.contains("`--targte` is not known; did you mean `--target`?"), "{all}");
        assert!(all.contains("`--env` needs a value: `--env NAME`"), "{all}");
        let cases = [
            ("/chronon-plan", "what to do? `/chronon-plan plan` or `/chronon-plan apply`"),
            ("/chronon-plan \r\nplan", "what to do?"),
            ("/chronon-plan aply", "did you mean `apply`?"),
            ("/chronon-plan destroy", "`destroy` is neither `plan` nor `apply`"),
            ("/chronon-plan plan prod", "`prod` is not known"),
            ("/chronon-plan plan --done x", "`--done` is for `/chronon-plan apply`"),
            ("/chronon-plan plan --target", "`--target` needs a value"),
            ("/chronon-plan plan --target ''", "`--target` needs a value"),
            ("/chronon-plan plan --env a --env b", "`--env` is given twice"),
            ("/chronon-plan plan --target 'a", "the quote ' is not closed"),
            ("/chronon-plan plan --target a\\", "nothing follows the last `\\`"),
        ];
        for (body, expected) in cases {
            let said = mistake(body);
            assert!(said.contains(expected), "{body:?}: {said}");
        }
    }
}
