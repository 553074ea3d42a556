//! When a config is run, as Airflow spells it and as a part of a DAG's name.

/// What stands for a cron of five fields.
const PRESETS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// Every day at midnight: what holds where nobody says.
pub(super) const DAILY: &str = "0 0 * * *";

/// Every ten minutes: how often streams and metadata are looked at.
pub(super) const OFTEN: &str = "*/10 * * * *";

/// Never: what no DAG runs.
pub(super) const NEVER: &str = "@never";

/// The cron that a schedule means; none where it is none that Airflow knows.
pub(super) fn cron(schedule: &str) -> Option<String> {
    let schedule = schedule.trim();
    if let Some(row) = PRESETS.iter().find(|row| row.0 == schedule) {
        return Some(row.1.to_owned());
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let sound = fields.len() == 5 && fields.iter().zip(BOUNDS).all(|(field, of)| fits(field, of));
    (sound && is_ever(&fields)).then(|| fields.join(" "))
}

/// What the numbers of a field may be, and the names that stand for them.
type Bounds = (u32, u32, &'static [&'static str]);

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const BOUNDS: [Bounds; 5] =
    [(0, 59, &[]), (0, 23, &[]), (1, 31, &[]), (1, 12, MONTHS), (0, 7, DAYS)];

/// Whether a field is a list of numbers, ranges and steps within its bounds.
fn fits(field: &str, of: Bounds) -> bool {
    field.split(',').all(|part| {
        let (range, step) = part.split_once('/').map_or((part, None), |it| (it.0, Some(it.1)));
        let stepped = step.is_none_or(|it| it.parse::<u32>().is_ok_and(|step| step > 0));
        let bounded = match range.split_once('-') {
            Some((first, last)) => {
                value(first, of).zip(value(last, of)).is_some_and(|it| it.0 < it.1)
            }
            None => range == "*" || value(range, of).is_some(),
        };
        stepped && bounded
    })
}

/// How many days each month has at the most.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Whether there is a day that a cron means: the 31st of April would break the DAG.
fn is_ever(fields: &[&str]) -> bool {
    let (days, months, weekdays) = (fields[2], fields[3], fields[4]);
    let first = |part: &str, of| {
        let text = part.split(['/', '-']).next().unwrap_or_default();
        value(text, of).unwrap_or(of.0)
    };
    let least = days.split(',').map(|part| first(part, BOUNDS[2])).min().unwrap_or_default();
    let long = |month: u32| {
        LENGTHS.get(month.saturating_sub(1) as usize).is_some_and(|days| *days >= least)
    };
    // Of ranges and steps the first month alone is looked at: too strict for `2-3`, never too lax.
    weekdays != "*" || months.split(',').any(|part| long(first(part, BOUNDS[3])))
}

fn value(text: &str, (least, most, names): Bounds) -> Option<u32> {
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + least);
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    named.or_else(|| {
        digits.then(|| text.parse().ok()).flatten().filter(|it| (least..=most).contains(it))
    })
}

/// What is added to the name of a DAG that does not run daily. Two crons never share one: each
/// character that no name may have becomes a word of its own.
pub(super) fn suffix(cron: &str) -> String {
    if cron == DAILY {
        return String::new();
    }
    if let Some(row) = PRESETS.iter().find(|row| row.1 == cron) {
        return format!("__{}", row.0.trim_start_matches('@'));
    }
    let mut suffix = String::from("__");
    for c in cron.chars() {
        match c {
            ' ' => suffix.push('_'),
            '*' => suffix.push('x'),
            '/' => suffix.push_str(".by."),
            ',' => suffix.push_str(".and."),
            other => suffix.push(other.to_ascii_lowercase()),
        }
    }
    suffix
}

/// Whether a cron means some moment of every day.
pub(super) fn is_of_every_day(cron: &str) -> bool {
    cron.split(' ').skip(2).all(|field| field == "*")
}

/// A cron for people: the preset that it is, else itself.
pub fn shown(cron: &str) -> String {
    let preset = PRESETS.iter().find(|row| row.1 == cron);
    preset.map_or_else(|| cron.to_owned(), |row| row.0.trim_start_matches('@').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_crons_are_one_spelling_and_nonsense_is_none() {
        for (schedule, expected) in [
            ("@daily", Some("0 0 * * *")),
            (" 0  6 * * 1-5 ", Some("0 6 * * 1-5")),
            ("*/15 0,12 1 JAN,feb mon", Some("*/15 0,12 1 JAN,feb mon")),
            ("every day", None),
            ("0 24 * * *", None),
            ("0 0 0 * *", None),
            ("0 0 * * * *", None),
            ("*/0 * * * *", None),
            ("5-1 * * * *", None),
            // Airflow takes a range of one for the whole field.
            ("5-5 * * * *", None),
            ("0 0 31 4 *", None),
            ("0 0 30,31 feb *", None),
            ("0 0 31 4,5 *", Some("0 0 31 4,5 *")),
            ("0 0 29 2 *", Some("0 0 29 2 *")),
            ("0 0 31 2 mon", Some("0 0 31 2 mon")),
            ("@once", None),
            ("", None),
        ] {
            assert_eq!(cron(schedule).as_deref(), expected, "{schedule}");
        }
    }

    #[test]
    fn names_of_dags_say_when_they_run() {
        for (cron, expected) in [
            ("0 0 * * *", ""),
            ("0 * * * *", "__hourly"),
            ("0 6 * * 1-5", "__0_6_x_x_1-5"),
            ("*/5 1,2 * * *", "__x.by.5_1.and.2_x_x_x"),
        ] {
            assert_eq!(suffix(cron), expected);
        }
    }
}
