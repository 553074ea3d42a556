//! The log of a task, as lines that say what happened to the job.
//!
//! # Why
//! Behind what a job has said, Airflow puts twenty frames of its own: the end of a log would be
//! nothing else.

use serde_json::Value;

/// The lines of a log that is a list of events.
pub(super) fn lines_of(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => text.lines().map(str::to_owned).collect(),
        Value::Array(events) => events.iter().flat_map(lines).collect(),
        _ => Vec::new(),
    }
}

/// What one event says, and which errors came with it.
fn lines(event: &Value) -> Vec<String> {
    let text = event.as_str().or_else(|| event["event"].as_str()).unwrap_or_default();
    let errors = event["error_detail"].as_array().into_iter().flatten();
    let error = |it: &Value| {
        let (kind, value) = (it["exc_type"].as_str()?, it["exc_value"].as_str()?);
        Some(format!("{kind}: {value}"))
    };
    let all = [text.to_owned()].into_iter().chain(errors.filter_map(error));
    all.flat_map(|it| it.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Files whose frames say nothing of the job.
const OURS: [&str; 2] = ["/site-packages/airflow/", "/chronon_dags.py\""];

/// The lines without the frames that are Airflow's own, or of the DAGs that we publish.
pub(super) fn without_frames(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut inside = false;
    let kept = |line: &String| {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if bare.starts_with("File \"") {
            inside = OURS.iter().any(|it| bare.contains(it));
        } else if indent < 4 {
            inside = false;
        }
        !inside
    };
    lines.filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_lines_with_their_errors() {
        let content = json!([
            "plain",
            {"event": "two\nlines"},
            {"event": "failed", "error_detail": [{"exc_type": "Oops", "exc_value": "made to"}]},
            {},
        ]);
        let lines = lines_of(&content);
        assert_eq!(lines, ["plain", "two", "lines", "failed", "Oops: made to"]);
        assert_eq!(lines_of(&json!("a\nb")), ["a", "b"]);
        assert!(lines_of(&json!({"x": 1})).is_empty());
    }

    #[test]
    fn frames_of_airflow_are_left_out_and_those_of_the_job_are_not() {
        let lines = [
            "the job says no",
            "Traceback (most recent call last):",
            "  File \"/x/site-packages/airflow/models/taskinstance.py\", line 1, in run",
            "    return f(",
            "           ^^",
            "  File \"/dags/mine.py\", line 2, in job",
            "    raise Oops()",
            "  File \"/dags/chronon_dags.py\", line 3, in z",
            "    a",
            "Oops: made to",
        ];
        let kept = without_frames(lines.iter().map(|it| (*it).to_owned()));
        let expected: Vec<&str> = [0, 1, 5, 6, 9].iter().map(|at| lines[*at]).collect();
        assert_eq!(kept, expected);
    }
}
