//! Hostile text in every place that a config can fill.
//!
//! A plan is made whose names, paths, values, SQL, sentences and commands are out to mention, link,
//! fold, break tables, close fences or move the cursor. Rendered, none may succeed. Markdown is
//! read back by a parser; what GitHub makes of plain words afterwards (mentions, references,
//! addresses, emoji) is checked on every text outside code.

use std::fmt::Write;
use std::ops::Range as Span;

use chronon_plan::model::name::Address;
use chronon_plan::model::name::ConfigType;
use chronon_plan::plan::contract::Because;
use chronon_plan::plan::contract::Cause;
use chronon_plan::plan::contract::Change;
use chronon_plan::plan::contract::Columns;
use chronon_plan::plan::contract::Field;
use chronon_plan::plan::contract::Kind;
use chronon_plan::plan::contract::Orphan;
use chronon_plan::plan::contract::OtherFile;
use chronon_plan::plan::contract::Plan;
use chronon_plan::plan::contract::Range;
use chronon_plan::plan::contract::RenamedColumn;
use chronon_plan::plan::contract::Rewrite;
use chronon_plan::plan::contract::Scope;
use chronon_plan::plan::contract::Side;
use chronon_plan::plan::contract::SkippedFile;
use chronon_plan::plan::contract::State;
use chronon_plan::plan::contract::Step;
use chronon_plan::plan::contract::Summary;
use chronon_plan::plan::contract::Trigger;
use chronon_plan::plan::contract::Warning;
use chronon_plan::plan::policy::Demand;
use chronon_plan::plan::schedules::DagChange;
use chronon_plan::plan::schedules::Schedules;
use chronon_plan::plan::schedules::SettingChange;
use chronon_plan::plan::schedules::TaskChange;
use chronon_plan::render;
use chronon_plan::render::Style;
use chronon_plan::render::comment;
use chronon_plan::render::comment::Comment;
use chronon_plan::render::comment::Detail;
use chronon_plan::render::comment::Earlier;
use chronon_plan::render::comment::FailedStep;
use chronon_plan::render::comment::Marker;
use chronon_plan::render::comment::Overlap;
use chronon_plan::render::comment::Receipt;
use chronon_plan::render::comment::Status;
use chronon_plan::render::comment::Trouble;
use chronon_plan::render::comment::Watched;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::test_runner::Config;
use pulldown_cmark::BlockQuoteKind;
use pulldown_cmark::CodeBlockKind;
use pulldown_cmark::Event;
use pulldown_cmark::Options;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;
use pulldown_cmark::TagEnd;
use serde_json::Value;
use serde_json::json;

/// What somebody might write who can open a pull request.
#[rustfmt::skip] // a list, not a text
const PIECES: &[&str] = &[
    "@org/team", "@all", "<script>alert(1)</script>", "</details>", "<details open>", "</code>",
    "</summary>", "<img src=x onerror=y>", "<!-- -->", "<!--", "-->", "<?x", "<![CDATA[", "&lt;b&gt;",
    "&#64;me", "|", "\\|", "\\", "||||", "`", "``", "```", "````````", "~~~", "~~struck~~", "**bold**",
    "_em_", "[x](http://evil.example)", "![x](http://evil.example/p.png)", "[ref]", "[^1]", "[ ] todo",
    "- [x] done", "http://evil.example", "https://evil.example/a?b=c", "www.evil.example", "WWW.evil.example",
    "ftp://evil.example", "mailto:me@evil.example", "javascript:alert(1)", "me@evil.example", "<http://e.x>",
    "#123", "org/repo#1", "GH-1", "gh-22", "OPS-7", "deadbeefcafe", "0123456789abcdef0123456789abcdef01234567",
    ":tada:", ":+1:", "\n", "\r", "\r\n", "\t", "\0", "\u{b}", "\u{c}", "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]8;;http://e\u{7}", "\u{7}", "\u{8}", "\u{7f}", "\u{85}", "\u{9b}2J", "\u{202e}", "\u{2066}",
    "\u{2069}", "\u{200b}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}", "\u{61c}", "\u{180e}", "\u{2028}",
    "\u{2029}", "\u{2800}", "\u{e0041}", "\u{1d173}", "$math$", "$$x$$", "$`x`$", "%%{init: {}}%%", "\"]", "end",
    "click n0 \"http://evil.example\"", "n0 --> n1", "subgraph", ";", "-", "--", "---", "===", "# heading",
    "> quote", "> [!WARNING]", "1. one", "1)", "    code", "* item", "+ item", "'", "\"", "'; rm -rf /",
    "$(rm -rf /)", "{{ ds }}", "{%", "plain", "words of prose", "ünïcode", "列", "🎉", "a\nb", "x\n\n# y",
    "x\n```\n@org", "x\n</details>\n\n@org",
];

/// Stands in every text that must come out as code, and nowhere else.
const MARK: char = '☃';

/// Names, values, commands: what must only ever be code.
fn marked() -> impl Strategy<Value = String> {
    hostile().prop_map(|text| format!("{MARK}{text}{MARK}"))
}

/// Sentences, in which plain words may stay plain.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = proptest::collection::vec(select(PIECES), 1..5);
    let glue = select(&["", " ", "  ", "a", "."][..]);
    prop_oneof![
        6 => (pieces, glue).prop_map(|(pieces, glue)| pieces.join(glue)),
        1 => any::<String>(),
        1 => (select(PIECES), 1..40_usize).prop_map(|(piece, times)| piece.repeat(times)),
    ]
}

/// Texts that are dealt out in turn, so that few of them fill a whole plan.
#[derive(Debug)]
struct Deck {
    marked: Vec<String>,
    prose: Vec<String>,
    dealt: usize,
}

impl Deck {
    fn strategy() -> impl Strategy<Value = Self> {
        let marked = proptest::collection::vec(marked(), 1..12);
        let prose = proptest::collection::vec(hostile(), 1..6);
        (marked, prose).prop_map(|(marked, prose)| Self { marked, prose, dealt: 0 })
    }

    /// The same text everywhere.
    fn of(text: &str) -> Self {
        Self { marked: vec![format!("{MARK}{text}{MARK}")], prose: vec![text.to_owned()], dealt: 0 }
    }

    fn word(&mut self) -> String {
        self.dealt += 1;
        self.marked[self.dealt % self.marked.len()].clone()
    }

    fn words(&mut self) -> Vec<String> {
        vec![self.word(), self.word()]
    }

    /// A sentence as the project writes them: prose around quoted names.
    fn sentence(&mut self) -> String {
        self.dealt += 1;
        let prose = &self.prose[self.dealt % self.prose.len()];
        format!("{prose} it reads `{}`, {prose}", prose.replace('`', "'"))
    }

    fn address(&mut self, kind: ConfigType) -> Address {
        Address::new(kind, &self.word())
    }

    fn value(&mut self) -> Value {
        json!({ self.word(): [self.word(), 1, null, {"deep": self.word()}] })
    }

    fn field(&mut self, before: Option<Value>, after: Option<Value>) -> Field {
        Field {
            before_name: None,
            after_name: None,
            path: self.word(),
            before,
            after,
            sql: false,
            hidden: false,
            reordered: false,
            counts_for: vec!["table".to_owned()],
            because: self.sentence(),
        }
    }

    /// One field of every kind that is shown in a way of its own.
    fn fields(&mut self) -> Vec<Field> {
        let text = |text: String| Some(Value::String(text));
        let (before, after) = (text(self.word()), text(self.word()));
        let sql = Field { sql: true, ..self.field(before.clone(), after.clone()) };
        let (from, to) = (Some(self.value()), Some(self.value()));
        vec![
            sql,
            self.field(before.clone(), after.clone()),
            self.field(from.clone(), to.clone()),
            self.field(None, after.clone()),
            self.field(before.clone(), None),
            self.field(None, to.clone()),
            self.field(from, None),
            Field { hidden: true, ..self.field(None, None) },
            Field { reordered: true, ..self.field(before.clone(), after.clone()) },
            Field { counts_for: Vec::new(), ..self.field(before, after) },
            Field { counts_for: Vec::new(), hidden: true, ..self.field(None, None) },
        ]
    }

    fn columns(&mut self) -> Columns {
        let renamed = RenamedColumn { from: self.word(), to: self.word() };
        Columns {
            added: self.words(),
            removed: self.words(),
            renamed: vec![renamed],
            changed: self.words(),
        }
    }

    fn change(&mut self, config: Address, kind: Kind) -> Change {
        let replaces = matches!(kind, Kind::VersionBump | Kind::Renamed);
        Change {
            config,
            path: self.word(),
            kind,
            from: replaces.then(|| self.address(ConfigType::GroupBy)),
            fields: self.fields(),
            columns: self.columns(),
            downstream: vec![self.address(ConfigType::Join), self.address(ConfigType::Model)],
        }
    }

    fn step(&mut self, config: &Address, mode: &str, after: Vec<String>) -> Step {
        let backfill = mode == "backfill";
        let range = || Range {
            start: "2025-01-01".parse().ok(),
            end: "2025-01-31".parse().unwrap(),
            days: Some(31),
        };
        Step {
            blob: self.word(),
            id: format!("{config}#{mode}"),
            config: config.clone(),
            path: self.word(),
            mode: mode.to_owned(),
            resource: "table".to_owned(),
            cause: Cause::Changed,
            scope: if backfill { Scope::Change } else { Scope::Pending },
            trigger: if backfill { Trigger::Apply } else { Trigger::Schedule },
            because: vec![
                Because { field: Some(self.word()), text: self.sentence(), upstream: None },
                Because { field: None, text: self.sentence(), upstream: None },
                Because {
                    field: None,
                    text: self.sentence(),
                    upstream: Some(self.address(ConfigType::StagingQuery)),
                },
            ],
            after,
            range: backfill.then(range),
            rewrite: backfill.then_some(Rewrite::ArchiveFirst),
            argv: vec!["zipline".to_owned(), self.word(), self.word(), String::new()],
            manual: (!backfill).then(|| self.sentence()),
        }
    }

    fn plan(&mut self) -> Plan {
        let addresses = [
            ConfigType::GroupBy,
            ConfigType::Join,
            ConfigType::StagingQuery,
            ConfigType::Model,
            ConfigType::ModelTransforms,
            ConfigType::Team,
        ]
        .map(|kind| self.address(kind));
        let [added, bumped, alike, too, removed, unchanged] = addresses.clone();
        let like = self.change(alike, Kind::Modified);
        let mut steps = Vec::new();
        for config in [&added, &bumped, &like.config, &unchanged] {
            let first = self.step(config, "backfill", Vec::new());
            let after = vec![first.id.clone()];
            steps.push(first);
            steps.push(self.step(config, "metadata-upload", after));
        }
        let changes = vec![
            self.change(added, Kind::Added),
            self.change(bumped, Kind::VersionBump),
            Change { config: too, ..like.clone() },
            like,
            self.change(removed, Kind::Removed),
        ];
        let side = |rev: String| Side { rev, commit: "0123456789".repeat(4) };
        Plan {
            schema_version: 1,
            digest: format!("sha256:{}", "ab".repeat(32)),
            env: self.word(),
            dialect: "zip".to_owned(),
            as_of: "2025-02-01".parse().unwrap(),
            complete: false,
            base: side(self.word()),
            head: side(self.word()),
            state: State {
                location: self.word(),
                lineage: Some(self.word()),
                serial: 7,
                found: true,
            },
            summary: summary(&steps),
            orphans: self.orphans(),
            warnings: self.warnings(),
            other_files: self.other_files(),
            skipped_files: self.skipped_files(),
            schedules: Some(self.schedules()),
            changes,
            steps,
        }
    }

    fn schedules(&mut self) -> Schedules {
        let task = |deck: &mut Self, kind| TaskChange {
            task: deck.word(),
            kind,
            config: Some(deck.address(ConfigType::Join)),
            what: deck.words(),
            fingerprint: Some(deck.word()),
        };
        let dag = |deck: &mut Self, kind| DagChange {
            dag: deck.word(),
            kind,
            scope: Scope::Pending,
            schedule_before: Some(deck.word()),
            schedule_after: Some(deck.word()),
            tasks_before: 3,
            tasks_after: 4,
            settings: vec![SettingChange { setting: deck.word(), fingerprint: Some(deck.word()) }],
            tasks: vec![
                task(deck, Kind::Added),
                task(deck, Kind::Modified),
                task(deck, Kind::Removed),
            ],
            fingerprint: Some(deck.word()),
        };
        Schedules {
            location: self.word(),
            dags: vec![dag(self, Kind::Added), dag(self, Kind::Modified), dag(self, Kind::Removed)],
            unchanged: 7,
            notes: vec![self.sentence(), self.word()],
        }
    }

    fn orphans(&mut self) -> Vec<Orphan> {
        let orphan = |deck: &mut Self, remove_with| Orphan {
            config: deck.address(ConfigType::Join),
            resource: "table".to_owned(),
            what: deck.word(),
            remove_with,
        };
        let commands = self.words();
        vec![orphan(self, commands), orphan(self, Vec::new())]
    }

    fn warnings(&mut self) -> Vec<Warning> {
        let warning = |deck: &mut Self, code: &str, field: Option<String>| Warning {
            code: code.to_owned(),
            config: deck.address(ConfigType::Join),
            field,
            text: deck.sentence(),
            affects: vec![deck.address(ConfigType::Join), deck.address(ConfigType::GroupBy)],
        };
        let field = Some(self.word());
        let severe = warning(self, "online-breaking", field);
        let stays = warning(self, "history-not-rewritten", None);
        vec![severe, stays, warning(self, "hub-only", None)]
    }

    fn other_files(&mut self) -> Vec<OtherFile> {
        [Kind::Added, Kind::Removed, Kind::Modified]
            .map(|kind| OtherFile { path: self.word(), kind, why: "it is hidden".to_owned() })
            .into()
    }

    /// What a comment tells beside the plan.
    fn story(&mut self) -> Story {
        let (who, commit) = (|deck: &mut Self| format!("@{}", deck.word()), "0123456789".repeat(4));
        let demand = |deck: &mut Self, missing| Demand {
            policy: deck.word(),
            why: deck.sentence(),
            configs: vec![deck.address(ConfigType::Join), deck.address(ConfigType::GroupBy)],
            missing,
            ask: (0..7).map(|_| who(deck)).collect(),
        };
        let sound = Earlier {
            head: commit.clone(),
            digest: format!("sha256:{}", "cd".repeat(32)),
            at: "2025-02-01T12:00:00Z".to_owned(),
            run: format!("{RUN}7"),
        };
        let missing = vec![self.sentence(), self.sentence()];
        let overlap = |deck: &mut Self| Overlap {
            number: 12,
            title: deck.word(),
            same: vec![deck.address(ConfigType::Join)],
            related: vec![deck.address(ConfigType::GroupBy)],
        };
        let trouble = Trouble {
            what: vec![self.sentence(), self.word(), String::new(), " ".to_owned()],
            next: vec![self.sentence()],
            exit: 3,
        };
        Story {
            env: self.word(),
            head: commit,
            demands: vec![demand(self, missing), demand(self, Vec::new())],
            overlaps: vec![overlap(self), overlap(self)],
            notes: vec![self.sentence(), self.sentence()],
            earlier: vec![
                sound.clone(),
                Earlier { run: self.word(), ..sound.clone() },
                Earlier { head: self.word(), ..sound.clone() },
                Earlier { digest: self.word(), ..sound.clone() },
                Earlier { at: self.word(), ..sound.clone() },
                Earlier { run: "https://github.com/other/x/actions/runs/1".to_owned(), ..sound },
            ],
            trouble,
            receipt: self.receipt(),
            plan: self.plan(),
        }
    }

    /// An address into our Airflow, with whatever somebody may have put there.
    fn page(&mut self) -> String {
        format!("{AIRFLOW}{}", self.word())
    }

    fn receipt(&mut self) -> Receipt {
        let failed = |deck: &mut Self, by_hand| FailedStep {
            step: deck.word(),
            what: deck.sentence(),
            tail: (0..30).map(|_| deck.word()).collect(),
            by_hand,
            page: Some(deck.page()),
        };
        let watched =
            |deck: &mut Self, done| Watched { step: deck.word(), page: deck.page(), done };
        Receipt {
            running: 2,
            watched: [None, Some(true), Some(false)].map(|done| watched(self, done)).to_vec(),
            done: 3,
            failed: vec![failed(self, false), failed(self, true)],
            skipped: 1,
            left: 2,
            published: 2,
            serial: 143,
            again: Some(5),
            took: self.sentence(),
            resume: vec![self.sentence(), self.word()],
        }
    }

    fn skipped_files(&mut self) -> Vec<SkippedFile> {
        let file = |deck: &mut Self, line| SkippedFile {
            path: deck.word(),
            side: "head".to_owned(),
            line,
            column: 3,
            what: deck.sentence(),
        };
        vec![file(self, 0), file(self, 12)]
    }
}

/// Everything that a comment is made from.
#[derive(Debug)]
struct Story {
    env: String,
    head: String,
    plan: Plan,
    demands: Vec<Demand>,
    overlaps: Vec<Overlap>,
    notes: Vec<String>,
    earlier: Vec<Earlier>,
    trouble: Trouble,
    receipt: Receipt,
}

impl Story {
    fn statuses(&self) -> [Status<'_>; 10] {
        let Self { trouble, receipt, .. } = self;
        [
            Status::Planned,
            Status::Closed,
            Status::Queued,
            Status::Applying,
            Status::Applied(receipt),
            Status::Running(receipt),
            Status::Partly(receipt),
            Status::Refused(trouble),
            Status::Failed(trouble),
            Status::Interrupted(receipt),
        ]
    }

    fn comment<'a>(&'a self, status: Status<'a>, run: &'a str) -> Comment<'a> {
        Comment {
            env: &self.env,
            status,
            plan: (!matches!(status, Status::Failed(_))).then_some(&self.plan),
            head: &self.head,
            at: "2025-02-01T12:34:56Z",
            run,
            demands: &self.demands,
            overlaps: &self.overlaps,
            notes: &self.notes,
            earlier: &self.earlier,
        }
    }

    /// Checks the comment at every level, and at budgets between.
    fn check(&self, status: Status<'_>) {
        let run = format!("{RUN}8");
        let comment = self.comment(status, &run);
        let mut seen = Vec::new();
        let mut budget = usize::MAX;
        while budget >= comment::LEAST_BUDGET {
            let shown = comment::render(&comment, budget);
            assert!(shown.text.len() <= budget, "{} of {budget}", shown.text.len());
            check_comment(&shown.text, &comment);
            seen.push(shown.detail);
            let step = if shown.detail < Detail::Counts { 1 } else { budget.min(80_000) / 3 };
            budget = shown.text.len().min(budget - step).min(shown.text.len() - 1);
        }
        let least = comment::render(&comment, comment::LEAST_BUDGET);
        assert!(least.text.len() <= comment::LEAST_BUDGET);
        check_comment(&least.text, &comment);
        assert!(seen.is_sorted(), "{seen:?}");
        check_markdown(&comment::summary(&comment, comment::SUMMARY_BUDGET).text);
    }
}

/// A comment: its first line hides a marker that says what the comment is of.
fn check_comment(page: &str, comment: &Comment<'_>) {
    let (first, rest) = page.split_once('\n').unwrap();
    let inner = first.strip_prefix("<!--").unwrap().strip_suffix("-->").unwrap();
    assert!(!inner.contains("--") && !inner.contains(['<', '>', '@', '#']), "{first}");
    assert!(first.bytes().all(|b| (b' '..=b'~').contains(&b)), "{first}");
    let marker = Marker::read(page).unwrap();
    assert!(marker.is_of(comment.env));
    assert_eq!((&*marker.head, &*marker.run, &*marker.at), (comment.head, comment.run, comment.at));
    let sound = |it: &Earlier| {
        [RUN, "", "https://github.com/other/"].iter().any(|run| it.run.starts_with(run))
    };
    assert!(marker.earlier.len() <= 3 && marker.earlier.iter().all(sound));
    assert!(!page.contains("](https://github.com/other"), "a link into another repository");
    check_markdown(rest);
}

fn summary(steps: &[Step]) -> Summary {
    let mut summary =
        Summary { steps: steps.len(), unchanged: 3, changed: 5, ..Summary::default() };
    for step in steps {
        *summary.by_mode.entry(step.mode.clone()).or_default() += 1;
    }
    summary.backfill_days = 1234;
    summary.warnings.insert("online-breaking".to_owned(), 1);
    summary
}

/// Tags that the renderer writes; no other may stand in a page.
const TAGS: [&str; 10] = [
    "<details>",
    "<details open>",
    "</details>",
    "<summary>",
    "</summary>",
    "<code>",
    "</code>",
    "<sub>",
    "</sub>",
    "<br>",
];

/// What stands outside code on a page: one text per paragraph, cell or piece of HTML.
#[derive(Default)]
struct Outside {
    /// As a reader sees it, entities resolved.
    shown: String,
    /// Whether HTML has opened code.
    in_code: bool,
    /// How many folds are open.
    folds: i32,
}

impl Outside {
    /// Takes in HTML: its tags must be ours, its texts are read like any other.
    fn html(&mut self, html: &str) {
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            self.entities(&rest[..start]);
            let end = start + rest[start..].find('>').expect("a tag is closed") + 1;
            let tag = &rest[start..end];
            assert!(TAGS.contains(&tag), "not our tag: {tag:?} in {html:?}");
            match tag {
                "<code>" => self.in_code = true,
                "</code>" => self.in_code = false,
                "<details>" | "<details open>" => self.folds += 1,
                "</details>" => self.folds -= 1,
                "<br>" => self.end(),
                _ => {}
            }
            assert!(self.folds >= 0, "a fold is closed that was not opened");
            rest = &rest[end..];
        }
        self.entities(rest);
    }

    /// Text of HTML; what is in code may say anything but must not be HTML itself.
    fn entities(&mut self, text: &str) {
        assert!(!text.contains('>'), "not escaped: {text:?}");
        for part in text.split('&').skip(1) {
            let name = part.split_once(';').expect("an entity ends").0;
            let number =
                name.strip_prefix('#').is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit()));
            assert!(number || ["amp", "lt", "gt", "quot"].contains(&name), "not ours: &{name};");
        }
        if !self.in_code {
            self.shown.push_str(text);
        }
    }

    /// Ends a text: what follows does not touch it.
    fn end(&mut self) {
        harmless(&self.shown);
        self.shown.clear();
    }
}

/// Text that GitHub shows as it is: no mention, reference, commit, address or emoji in it.
fn harmless(text: &str) {
    let next = |at: usize| text[at..].chars().nth(1);
    let last = |at: usize| text[..at].chars().next_back();
    for (at, c) in text.char_indices() {
        let bad = match c {
            '@' => next(at).is_some_and(|c| c.is_alphanumeric()),
            '#' => next(at).is_some_and(|c| c.is_ascii_digit()),
            ':' => next(at).is_some_and(|c| !c.is_whitespace()) || text[at..].starts_with("://"),
            '-' => {
                last(at).is_some_and(|c| c.is_ascii_alphabetic())
                    && next(at).is_some_and(|c| c.is_ascii_digit())
            }
            '$' | '<' | '>' | '`' | '|' | MARK => true,
            _ => false,
        };
        assert!(!bad, "{c:?} in {text:?}");
    }
    assert!(!text.to_lowercase().contains("www."), "{text:?}");
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let hexadecimal = word.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(word.len() < 7 || !hexadecimal, "{word} may be a commit, in {text:?}");
    }
}

/// Reads a page as GitHub does and sees that nothing in it is more than it should be.
pub(crate) fn check_markdown(page: &str) {
    check_characters(page);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM;
    let mut outside = Outside::default();
    let (mut mermaid, mut fenced, mut cells, mut columns) = (false, false, 0, 0);
    for (event, span) in Parser::new_ext(page, options).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                check_tag(&tag, &page[span.clone()]);
                fenced |= matches!(tag, Tag::CodeBlock(_));
                mermaid = tag == Tag::CodeBlock(CodeBlockKind::Fenced("mermaid".into()));
                match tag {
                    Tag::Table(alignments) => columns = alignments.len(),
                    Tag::TableHead | Tag::TableRow => check_row(page, &span, columns),
                    Tag::TableCell => cells += 1,
                    _ => {}
                }
            }
            Event::End(end) => {
                match end {
                    TagEnd::CodeBlock => (fenced, mermaid) = (false, false),
                    TagEnd::TableHead | TagEnd::TableRow => {
                        assert_eq!(std::mem::take(&mut cells), columns, "cells of a row");
                    }
                    _ => {}
                }
                if !matches!(end, TagEnd::Strong) {
                    outside.end();
                }
            }
            Event::Text(text) if mermaid => check_mermaid(&text),
            Event::Text(_) if fenced => {}
            Event::Text(text) => outside.shown.push_str(&text),
            Event::Html(html) | Event::InlineHtml(html) => outside.html(&html),
            Event::Code(_) => outside.shown.push(' '),
            Event::SoftBreak | Event::HardBreak => panic!("a line that goes on: {:?}", &page[span]),
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::Rule
            | Event::TaskListMarker(_) => panic!("{event:?}"),
        }
    }
    outside.end();
    assert_eq!(outside.folds, 0, "folds are left open");
}

fn check_tag(tag: &Tag<'_>, source: &str) {
    let ours = match tag {
        Tag::Paragraph
        | Tag::Heading { .. }
        | Tag::List(None)
        | Tag::Item
        | Tag::Strong
        | Tag::HtmlBlock
        | Tag::Table(_)
        | Tag::TableHead
        | Tag::TableRow
        | Tag::TableCell => true,
        Tag::CodeBlock(CodeBlockKind::Fenced(language)) => {
            ["diff", "mermaid", "sh", "text"].contains(&&**language)
        }
        // What is at stake: one line, all bold, in a box.
        Tag::BlockQuote(Some(
            BlockQuoteKind::Note | BlockQuoteKind::Warning | BlockQuoteKind::Caution,
        )) => {
            let lines: Vec<&str> = source.trim_end().lines().collect();
            lines.len() == 2 && lines[1].starts_with("> **") && lines[1].ends_with("**")
        }
        Tag::Link { dest_url, title, .. } => {
            (is_run(dest_url) || dest_url.starts_with(AIRFLOW)) && title.is_empty()
        }
        _ => false,
    };
    assert!(ours, "{tag:?}: {source:?}");
}

/// Where the Airflow of these tests stands.
pub(crate) const AIRFLOW: &str = "https://airflow.acme.example/";

/// Where runs of these tests stand.
pub(crate) const RUN: &str = "https://github.com/acme/features/actions/runs/";

/// As long as such an address may be.
pub(crate) const LONG_RUN: &str = concat!(
    "https://a-host-of-an-enterprise-with-a-name-that-is-as-long-as-names-of-hosts-may-be-and-longer",
    ".example.com/an-organisation-with-a-name-of-39-letters/a-repository-with-a-name-that-has-all-of",
    "-the-one-hundred-characters-that/actions/runs/",
);

fn is_run(url: &str) -> bool {
    let number = [RUN, LONG_RUN].iter().find_map(|place| url.strip_prefix(place));
    number.is_some_and(|it| it.bytes().all(|b| b.is_ascii_digit()))
}

/// A row's bars, counted in the source: a parser drops what is too much.
fn check_row(page: &str, span: &Span<usize>, columns: usize) {
    let row = page[span.clone()].lines().next().unwrap_or_default();
    assert_eq!(row.matches('|').count(), columns + 1, "{row:?}");
}

/// A graph: a head, nodes with one quoted label, edges between them.
fn check_mermaid(text: &str) {
    let is_node = |text: &str| {
        text.strip_prefix('n')
            .is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
    };
    for line in text.lines() {
        let edge = line.strip_prefix("  ").and_then(|it| it.split_once(" --> "));
        let node = line.strip_prefix("  ").and_then(|it| it.split_once("[\""));
        let fine = match (edge, node) {
            (Some((from, to)), None) => is_node(from) && is_node(to),
            (_, Some((name, label))) => {
                is_node(name) && label.strip_suffix("\"]").is_some_and(is_label)
            }
            (None, None) => line == "graph LR",
        };
        assert!(fine, "{line:?}");
    }
}

/// Letters, digits, a few marks, and numbered entities.
fn is_label(label: &str) -> bool {
    let entity = |text: &str| {
        let end = text.find(';')?;
        text[1..end].bytes().all(|b| b.is_ascii_digit()).then_some(end + 1)
    };
    let mut rest = label;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '#' => entity(rest),
            c if c.is_alphanumeric() || " ._/-()=,→".contains(c) => Some(c.len_utf8()),
            _ => None,
        };
        let Some(length) = length else { return false };
        rest = &rest[length..];
    }
    true
}

/// Characters that command a terminal, or are not seen.
fn check_characters(text: &str) {
    for c in text.chars() {
        let unseen = matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{2800}' | '\u{3164}' | '\u{feff}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        );
        assert!(!unseen && (c == '\n' || !c.is_control()), "{c:?} in {text:?}");
    }
}

/// Takes the renderer's own colours off; whatever else looks like one stays.
fn without_colours(text: &str) -> String {
    ["0", "1", "2", "31", "32", "33"]
        .iter()
        .fold(text.to_owned(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""))
}

/// As it is shown, without white space: lines are broken at spaces.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn check_text(plan: &Plan) {
    for width in [None, Some(40), Some(80), Some(160)] {
        for colour in [false, true] {
            for changes_only in [false, true] {
                let text = render::text(plan, Style { colour, width, changes_only });
                let plain = if colour { without_colours(&text) } else { text };
                check_characters(&plain);
                if !changes_only {
                    let plain = squeezed(&plain);
                    for step in &plan.steps {
                        let name = squeezed(&render::visible(&step.config.to_string()));
                        assert!(plain.contains(&name), "{} is missing", step.id);
                        assert!(plain.contains(&step.mode), "{} is missing", step.id);
                    }
                }
            }
        }
    }
}

/// Everything that must hold of a plan, however hostile.
fn check(plan: &Plan) {
    check_text(plan);
    let page = render::markdown(plan);
    check_markdown(&page);
    check_markdown(&render::markdown_changes(plan));
    for step in &plan.steps {
        // Bars would end a cell of the table; there they are drawn.
        let name = render::visible(&step.config.to_string());
        assert!(page.contains(&name.replace('|', "│")), "{} is missing", step.id);
        assert!(page.contains(&format!("**{}", step.mode)), "{} is missing", step.id);
    }
    let steps = render::graph::steps(plan);
    check_mermaid(&render::graph::mermaid(&steps));
    let dot = render::graph::dot(&steps);
    check_characters(&dot);
    for line in dot.lines().filter(|line| line.contains('"')) {
        let bare = line.replace("\\\\", "").replace("\\\"", "");
        assert!([2, 6].contains(&bare.matches('"').count()), "{line:?}");
    }
    let json = render::json::pretty(plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), *plan);
}

proptest::proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_hostile_text_gets_out_of_its_quotes(mut deck in Deck::strategy()) {
        let plan = deck.plan();
        check_markdown(&render::markdown(&plan));
        check(&plan);
    }

    #[test]
    fn no_hostile_text_gets_out_of_a_comment(mut deck in Deck::strategy(), status in 0..10_usize) {
        let story = deck.story();
        story.check(story.statuses()[status]);
    }

    #[test]
    fn a_marker_holds_whatever_it_is_given(env in hostile(), more in hostile()) {
        // No commit, whatever it is made of.
        let more = format!("{more}!");
        let earlier = Earlier { head: more.clone(), run: more.clone(), ..Earlier::default() };
        let marker = Marker { env, head: more, earlier: vec![earlier], ..Marker::default() };
        let line = marker.line();
        assert_eq!(line.matches("--").count(), 2, "{line}");
        let read = Marker::read(&line).unwrap();
        assert!(read.is_of(&marker.env));
        assert_eq!((read.head.as_str(), read.earlier.len()), ("", 0));
    }

    #[test]
    fn any_two_texts_can_be_compared_as_sql(before in sql(), after in sql()) {
        compare(&before, &after);
    }
}

/// SQL, or what stands where SQL should.
fn sql() -> impl Strategy<Value = String> {
    let words = [
        "SELECT", "a", ", ", " ", " FROM ", " from ", "\n", "\r\n", "\r", "`", "'x'", "\u{130}",
        "é",
    ];
    prop_oneof![
        4 => proptest::collection::vec(select(words.to_vec()), 0..60).prop_map(|it| it.concat()),
        2 => hostile(),
        1 => any::<String>(),
    ]
}

/// Shows a change from one SQL text to another in every way.
fn compare(before: &str, after: &str) {
    let mut plan = Deck::of("x").plan();
    plan.changes.truncate(1);
    let change = &mut plan.changes[0];
    change.kind = Kind::Modified;
    change.columns = Columns::default();
    change.fields.truncate(1);
    change.fields[0].before = Some(before.into());
    change.fields[0].after = Some(after.into());
    check_text(&plan);
    let page = render::markdown(&plan);
    check_markdown(&page);
    let block = page.split_once("diff\n").unwrap().1;
    let empty = block.starts_with('`') || block.starts_with("\n`");
    assert!(before == after || !empty, "{before:?} → {after:?} shows nothing");
}

#[test]
fn each_hostile_text_alone_is_harmless_everywhere() {
    for piece in PIECES {
        check(&Deck::of(piece).plan());
        check_markdown(&render::markdown(&Deck::of(piece).plan()));
    }
}

#[test]
fn each_hostile_text_alone_is_harmless_in_every_comment() {
    for (at, piece) in PIECES.iter().enumerate() {
        let story = Deck::of(piece).story();
        // Each status meets each kind of text; all of both would take minutes.
        story.statuses().into_iter().skip(at % 3).step_by(3).for_each(|status| story.check(status));
    }
}

#[test]
fn very_long_texts_fit_into_every_comment() {
    let long = ["x".repeat(3_000), "<b> ".repeat(750), "| ` @org\n".repeat(300), "`".repeat(999)];
    for (at, text) in long.iter().enumerate() {
        let story = Deck::of(text).story();
        story.statuses().into_iter().skip(at).step_by(4).for_each(|status| story.check(status));
    }
}

#[test]
fn long_runs_of_backticks_close_nothing() {
    for length in [1, 2, 3, 4, 7, 64, 1000] {
        let run = "`".repeat(length);
        for text in
            [run.clone(), format!("a{run}"), format!("{run}\n@org"), format!("{run} {run}`")]
        {
            check_markdown(&render::markdown(&Deck::of(&text).plan()));
        }
    }
}

#[test]
fn very_long_and_very_deep_texts_are_shown() {
    let long = ["x".repeat(10_000), "<b> ".repeat(2_500), "| ` @org\n".repeat(1_000)];
    for text in long {
        check(&Deck::of(&text).plan());
    }
    let mut plan = Deck::of("<b>").plan();
    let deep = (0..100).fold(json!("@org"), |inner, _| json!([inner]));
    plan.changes[0].fields[1].before = Some(deep);
    check(&plan);
}

#[test]
fn long_sql_with_nothing_in_common_is_compared_in_time() {
    let numbered = |stem: &str, many: usize| {
        (0..many).fold(String::new(), |mut text, at| {
            let _ = write!(text, "{stem}{at}, ");
            text
        })
    };
    for (before, after) in [
        (numbered("a", 3_000), numbered("b", 3_000)),
        ("a, ".repeat(5_000), "b a, ".repeat(5_000)),
        ("x\n".repeat(30_000), "y\n".repeat(30_000)),
    ] {
        compare(&before, &after);
    }
}

#[test]
fn renamed_columns_are_made_visible() {
    for piece in PIECES {
        check_text(&Deck::of(piece).plan());
    }
}

/// The checks themselves: each must see what it is there for.
#[test]
fn planted_escapes_are_found() {
    let planted = [
        "hello @org",
        "see #12",
        "see GH-12",
        "at deadbeef",
        "http://evil.example",
        "www.evil.example",
        ":tada:",
        "[x](y)",
        "![x](y)",
        "<b>bold</b>",
        "<details>",
        "</details>",
        "<details><summary><code>&nbsp;</code></summary></details>",
        "- [ ] todo",
        "_em_",
        "~~struck~~",
        "> quote",
        "> [!WARNING]\n> quote",
        "> [!TIP]\n> **bold**",
        "> [!NOTE]\n> **bold**\n> **more**",
        "[run](https://github.com/other/features/actions/runs/1)",
        "[run](https://github.com/acme/features/actions/runs/1 \"title\")",
        "[run](https://github.com/acme/features/actions/runs/1?x)",
        "---",
        "$x$",
        "1. one",
        "    indented",
        "```js\nx\n```",
        "```mermaid\ngraph LR\n  click n0\n```",
        "| a | b | c | d | e |\n|---|---|---|---|---|\n| 1 | 2 | 3 | 4 | 5 | 6 |",
        "zero\u{200b}width",
        "\u{1b}[31m",
    ];
    let missed: Vec<&str> = planted
        .into_iter()
        .filter(|page| std::panic::catch_unwind(|| check_markdown(page)).is_ok())
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}
