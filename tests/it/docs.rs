//! The README's tables are the code's: `BLESS=1` writes them anew.

use std::fmt::Write;

use chronon_plan::cli::failure::EXITS;
use chronon_plan::impact::rules::Breaks;
use chronon_plan::impact::rules::Notice;
use chronon_plan::impact::rules::RULES;
use chronon_plan::plan::modes::MODES;
use chronon_plan::plan::policy::WHENS;
use chronon_plan::plan::settings::ARGUMENTS;
use chronon_plan::plan::settings::SETTINGS;
use chronon_plan::plan::settings::read;
use chronon_plan::plan::warning::CODES;

use crate::support::golden;
use crate::support::project;

fn readme() -> String {
    std::fs::read_to_string(project().join("README.md")).unwrap()
}

/// The README with the table between its markers replaced.
fn with_table(readme: &str, name: &str, table: &str) -> String {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from =
        readme.find(&start).unwrap_or_else(|| panic!("README.md has no {start}")) + start.len();
    let to = readme.find(&end).unwrap_or_else(|| panic!("README.md has no {end}"));
    format!("{}{table}{}", &readme[..from], &readme[to..])
}

fn rules() -> String {
    let mut table = String::from(
        "| rule | config | field | counts for | can break clients | a join's job notices | why |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for rule in RULES {
        let counts: Vec<&str> = rule.counts.iter().map(|it| it.name()).collect();
        let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
        let breaks = match rule.breaks {
            Breaks::No => "",
            Breaks::Always => "yes",
            Breaks::Values => "by its columns",
        };
        let notice = match rule.notice {
            Notice::Moot => "",
            Notice::Extends => "it only moves the start",
            Notice::Sees => "yes",
            Notice::SeesInZip => "in dialect zip",
            Notice::Blind => "no",
        };
        let (id, of, field, because) = (rule.id, rule.of.word(), rule.field, rule.because);
        writeln!(table, "| {id} | {of} | `{field}` | {counts} | {breaks} | {notice} | {because} |")
            .unwrap();
    }
    table
}

fn modes() -> String {
    let mut table = String::from("| mode | of | brings up to date | does |\n|---|---|---|---|\n");
    for mode in MODES {
        let of: Vec<&str> = mode.of.iter().map(|it| it.word()).collect();
        let only = mode.only.map(|it| format!(" (dialect {} only)", it.name())).unwrap_or_default();
        let (name, resource) = (mode.name, mode.resource.name());
        writeln!(table, "| `{name}`{only} | {} | {resource} | {} |", of.join(", "), mode.does)
            .unwrap();
    }
    table
}

fn warnings() -> String {
    let mut table = String::from("| warning | means |\n|---|---|\n");
    for (_, name, meaning) in CODES {
        writeln!(table, "| `{name}` | {meaning} |").unwrap();
    }
    table
}

fn exits() -> String {
    let mut table = String::from("| code | means |\n|---|---|\n");
    for (_, code, meaning) in EXITS {
        writeln!(table, "| {code} | {meaning} |").unwrap();
    }
    table
}

fn settings() -> String {
    let mut table = String::from("| setting | without it | does |\n|---|---|---|\n");
    for row in SETTINGS {
        writeln!(table, "| `{}` | {} | {} |", row.path, row.default, row.does).unwrap();
    }
    table
}

fn arguments() -> String {
    let mut table =
        String::from("| argument | option | dialect | modes | is |\n|---|---|---|---|---|\n");
    for row in ARGUMENTS {
        let option =
            if row.option.is_empty() { "as it is".to_owned() } else { format!("`{}`", row.option) };
        let dialect = row.only.map_or("both", |it| it.name());
        let modes = if row.modes.is_empty() { "all".to_owned() } else { row.modes.join(", ") };
        writeln!(table, "| `{}` | {option} | {dialect} | {modes} | {} |", row.name, row.does)
            .unwrap();
    }
    table
}

fn policies() -> String {
    let mut table = String::from("| `when` | a plan falls under it when |\n|---|---|\n");
    for (_, name, meaning) in WHENS {
        writeln!(table, "| `{name}` | {meaning} |").unwrap();
    }
    table
}

/// A key of action.yml with what stands below it, in the order of the file.
struct Declared {
    name: String,
    fields: Vec<(String, String)>,
}

impl Declared {
    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|field| field.0 == name).map_or("", |field| &field.1)
    }
}

/// What action.yml declares as `inputs` or `outputs`.
fn declared(section: &str) -> Vec<Declared> {
    let file = std::fs::read_to_string(project().join("action.yml")).unwrap();
    let lines = file.lines().skip_while(|line| *line != format!("{section}:")).skip(1);
    let mut found: Vec<Declared> = Vec::new();
    for line in lines.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        match line.strip_prefix("    ") {
            Some(field) => {
                let (name, value) = field.split_once(": ").unwrap();
                let value = value.trim_matches('\'');
                found.last_mut().unwrap().fields.push((name.to_owned(), value.to_owned()));
            }
            None if line.is_empty() => {}
            None => {
                let name = line.trim().trim_end_matches(':').to_owned();
                found.push(Declared { name, fields: Vec::new() });
            }
        }
    }
    assert!(found.len() > 5, "{section}");
    found
}

fn inputs() -> String {
    let mut table = String::from("| input | without it | is |\n|---|---|---|\n");
    for input in declared("inputs") {
        let default = match input.field("default") {
            "" => String::new(),
            expression if expression.starts_with("${{") => "the job's own".to_owned(),
            value => format!("`{value}`"),
        };
        let what = input.field("description");
        writeln!(table, "| `{}` | {default} | {what} |", input.name).unwrap();
    }
    table
}

fn outputs() -> String {
    let mut table = String::from("| output | is |\n|---|---|\n");
    for output in declared("outputs") {
        writeln!(table, "| `{}` | {} |", output.name, output.field("description")).unwrap();
    }
    table
}

/// Neither a linter nor act would miss one.
#[test]
fn the_action_hands_on_every_input_and_every_output() {
    let file = std::fs::read_to_string(project().join("action.yml")).unwrap();
    let script = std::fs::read_to_string(project().join("action/run.sh")).unwrap();
    for input in declared("inputs") {
        let lines =
            file.lines().filter(|it| it.contains(&format!("${{{{ inputs.{} }}}}", input.name)));
        let variables: Vec<&str> = lines.map(|it| it.trim().split(':').next().unwrap()).collect();
        assert_eq!(variables.len(), 1, "{}", input.name);
        let own = format!("CHRONON_PLAN_{}", input.name.to_uppercase().replace('-', "_"));
        assert!([own.as_str(), "GITHUB_TOKEN"].contains(&variables[0]), "{variables:?}");
        let installs = ["binary", "sha256", "github-token"].contains(&input.name.as_str());
        assert!(installs || script.contains(&own), "run.sh does not read {own}");
        assert!(!input.field("description").is_empty());
        assert!(input.fields.iter().any(|it| it.0 == "default"), "{} has no default", input.name);
    }
    for output in declared("outputs") {
        let value = format!("${{{{ steps.run.outputs.{} }}}}", output.name);
        assert_eq!(output.field("value"), value);
    }
}

#[test]
fn the_readme_has_the_tables_of_the_code() {
    let mut now = readme();
    let tables = [
        ("rules", rules()),
        ("modes", modes()),
        ("warnings", warnings()),
        ("exit codes", exits()),
        ("settings", settings()),
        ("arguments", arguments()),
        ("policies", policies()),
        ("inputs", inputs()),
        ("outputs", outputs()),
    ];
    for (name, table) in tables {
        now = with_table(&now, name, &table);
    }
    golden(&project().join("README.md"), &now);
}

#[test]
fn the_settings_in_the_readme_can_be_read() {
    let readme = readme();
    let blocks = readme.split("```toml\n").skip(1).map(|it| it.split("```").next().unwrap());
    let read: Vec<usize> = blocks.map(|it| read(it).unwrap().policies.len()).collect();
    assert!(read.len() >= 3 && read.contains(&2), "{read:?}");
}

#[test]
fn the_readme_names_every_subcommand() {
    let readme = readme();
    let command = chronon_plan::cli::command();
    for sub in command.get_subcommands() {
        assert!(readme.contains(&format!("`{}", sub.get_name())), "{}", sub.get_name());
    }
}

#[test]
fn the_version_of_the_package_heads_the_changelog() {
    let changelog = std::fs::read_to_string(project().join("CHANGELOG.md")).unwrap();
    let heading = format!("\n## {}", env!("CARGO_PKG_VERSION"));
    let first = changelog.find("\n## ").unwrap();
    assert!(changelog[first..].starts_with(&heading));
}
