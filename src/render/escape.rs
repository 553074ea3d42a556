//! Making text from configs harmless.
//!
//! # Why
//! Names, SQL and tags are written by anybody who can open a pull request. On a terminal they must
//! not move the cursor, in Markdown they must not mention, link, fold, break a table or hide.

use std::fmt::Write;

/// Characters that change how other characters look, or have no look of their own.
fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{00ad}'
            | '\u{034f}'
            | '\u{061c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Text on one line, everything that could deceive made visible.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            c if c.is_control() || is_deceptive(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// The same, with its line ends kept.
pub(super) fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Text as inline code: nothing in it is Markdown.
pub(super) fn code(text: &str) -> String {
    let text = visible(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.trim().is_empty() {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A sentence of ours that may quote names: what stands between backticks, and every other word
/// that GitHub could make more of than a word, becomes code.
pub fn prose(text: &str) -> String {
    let mut shown = String::new();
    for (at, part) in text.split('`').enumerate() {
        // A name with a backtick of its own shifts what counts as quoted, but never to plain text.
        if at % 2 == 1 {
            push_code(&mut shown, part);
            continue;
        }
        for (at, word) in part.split(' ').enumerate() {
            if at > 0 {
                shown.push(' ');
            }
            if word == ":" {
                shown.push(':');
            } else if is_plain(word) {
                shown.push_str(&word.replace(':', "&#58;"));
            } else {
                let bare = word.strip_suffix(['.', ',', ';', ':']).unwrap_or(word);
                push_code(&mut shown, bare);
                shown.push_str(&word[bare.len()..]);
            }
        }
    }
    // Behind a bullet, four spaces would make a block of code.
    shown.trim().to_owned()
}

/// Two codes that touch would be read as one with another end.
fn push_code(shown: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    if shown.ends_with('`') {
        shown.push(' ');
    }
    shown.push_str(&code(text));
}

/// Whether a word is nothing but a word: no markup, no mention, no address, no emoji, no
/// reference to an issue or a commit, no mark of a list.
fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ",.;:()=-…→'".contains(c);
    let bare = word.trim_matches(|c| ",.;:()'".contains(c));
    let marks = !word.is_empty() && word.chars().all(|c| c == '-' || c == '=');
    let number = word.strip_suffix(['.', ')']).is_some_and(is_number);
    let address = word.strip_suffix(':').unwrap_or(word).contains(':')
        || word.to_lowercase().contains("www.");
    let commit = |part: &str| part.len() >= 7 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = bare.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let issue = parts.windows(2).any(|pair| {
        pair[0].ends_with(|c: char| c.is_ascii_alphabetic())
            && pair[1].starts_with(|c: char| c.is_ascii_digit())
    });
    word.chars().all(plain)
        && !(marks || number || address || issue || parts.into_iter().any(commit))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Text as inline code in a cell of a table, where a bar would end the cell.
pub(super) fn cell(text: &str) -> String {
    // A backslash before a bar is the table's own; one that was there already must not join it.
    code(&text.replace('|', "\u{2502}"))
}

/// Text as code in HTML, for summaries of folds.
pub(super) fn html(text: &str) -> String {
    let mut shown = String::from("<code>");
    for c in visible(text).chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' | '@' | '#' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | ':' | '!' | '$' => {
                let _ = write!(shown, "&#{};", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown + "</code>"
}

/// Text in a fenced block, whose fence nothing in the text can close.
pub(super) fn fenced(language: &str, text: &str) -> String {
    let text = visible_lines(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

/// Text in a label of a Mermaid graph.
pub(super) fn mermaid(text: &str) -> String {
    let mut shown = String::new();
    for c in visible(text).chars() {
        match c {
            c if c.is_alphanumeric() || " ._/-()=,→".contains(c) => shown.push(c),
            c => {
                let _ = write!(shown, "#{};", u32::from(c));
            }
        }
    }
    shown
}

/// Text in a quoted string of a DOT graph.
pub(super) fn dot(text: &str) -> String {
    visible(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_visible() {
        assert_eq!(visible("a\u{202e}b\u{200b}\x1b[31m\n"), "a\\u{202e}b\\u{200b}\\u{1b}[31m\\n");
        assert_eq!(visible("ünïcode 列"), "ünïcode 列");
    }

    #[test]
    fn prose_keeps_words_and_makes_everything_else_code() {
        assert_eq!(prose("it reads `a_b`, twice"), "it reads `a_b`, twice");
        assert_eq!(prose("see @me <b>"), "see `@me` `<b>`");
        assert_eq!(prose("a https://x.y b"), "a `https://x.y` b");
        assert_eq!(prose("new GroupBy"), "new GroupBy");
        assert_eq!(prose("from 2026-11-22, in 63 days"), "from 2026-11-22, in 63 days");
    }

    #[test]
    fn prose_refers_to_nothing_and_sends_nobody_anywhere() {
        assert_eq!(prose("`two words` here"), "`two words` here");
        assert_eq!(prose("see GH-1, OPS-7."), "see `GH-1`, `OPS-7`.");
        assert_eq!(prose("at deadbeef"), "at `deadbeef`");
        assert_eq!(prose("a :tada: b"), "a `:tada`: b");
        assert_eq!(prose(".:tada:"), "`.:tada`:");
        assert_eq!(prose("www.x.y mailto:a"), "`www.x.y` `mailto:a`");
        assert_eq!(prose("``    x"), "x");
        assert_eq!(prose("--- 1. x"), "`---` `1`. x");
        assert_eq!(prose("a`b``c`@d"), "a`b` `c` `@d`");
    }

    #[test]
    fn no_text_closes_its_own_quotes() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(cell("a|b"), "`a\u{2502}b`");
        assert_eq!(fenced("diff", "```"), "````diff\n```\n````\n");
        assert_eq!(html("<b>@me"), "<code>&lt;b&gt;&#64;me</code>");
        assert_eq!(mermaid("a\"]b"), "a#34;#93;b");
        assert_eq!(dot("a\"b\\"), "a\\\"b\\\\");
    }
}
