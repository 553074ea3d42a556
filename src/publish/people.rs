//! Who approved a pull request, and which of its comments is ours.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::objects::Comment;
use super::objects::Review;
use super::objects::ReviewState;

/// Who approves a pull request as it is at `head`: of everybody the last review that decides counts,
/// and no approval of another commit, nor the author's.
pub fn approvers(reviews: &[Review], author: &str, head: &str) -> BTreeSet<String> {
    let mut ordered: Vec<&Review> = reviews.iter().collect();
    // A review that was long in writing is older by its id than by when it was given.
    ordered.sort_by(|a, b| (&a.submitted_at, a.id).cmp(&(&b.submitted_at, b.id)));
    let mut last: BTreeMap<String, &Review> = BTreeMap::new();
    for review in ordered {
        match review.state {
            ReviewState::Approved | ReviewState::ChangesRequested | ReviewState::Dismissed => {
                last.insert(review.login.to_lowercase(), review);
            }
            ReviewState::Commented => {}
        }
    }
    let approving = last.into_values().filter(|review| {
        review.state == ReviewState::Approved
            && review.commit.as_deref() == Some(head)
            && !review.login.eq_ignore_ascii_case(author)
    });
    approving.map(|review| review.login.clone()).collect()
}

/// Our comment: the oldest that is marked and by us. Where it is not known who we are, only a
/// bot's can be, so that nobody can put a marked comment in its place by hand.
pub fn mine<'a>(
    comments: &'a [Comment],
    login: Option<&str>,
    is_marked: &dyn Fn(&str) -> bool,
) -> Option<&'a Comment> {
    let ours = |comment: &&Comment| match login {
        Some(login) => comment.author.eq_ignore_ascii_case(login),
        None => comment.is_bot,
    };
    let marked = comments.iter().filter(ours).filter(|comment| is_marked(&comment.body));
    marked.min_by_key(|comment| comment.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(id: u64, login: &str, state: ReviewState) -> Review {
        Review {
            id,
            login: login.to_owned(),
            state,
            commit: Some("c0ffee".to_owned()),
            submitted_at: format!("2026-03-01T10:00:{id:02}Z"),
            association: "MEMBER".to_owned(),
        }
    }

    fn comment(id: u64, author: &str, is_bot: bool, body: &str) -> Comment {
        let (author, body) = (author.to_owned(), body.to_owned());
        Comment { id, body, author, is_bot, html_url: String::new() }
    }

    #[test]
    fn the_last_word_of_everybody_but_the_author_counts() {
        use ReviewState::Approved;
        use ReviewState::ChangesRequested;
        use ReviewState::Commented;
        use ReviewState::Dismissed;
        let told = |states: &[ReviewState]| {
            let reviews = states.iter().zip(1..).map(|(state, id)| review(id, "bob", *state));
            !approvers(&reviews.collect::<Vec<_>>(), "ada", "c0ffee").is_empty()
        };
        assert!(!told(&[]) && told(&[Approved]));
        assert!(told(&[Approved, Commented]), "a comment takes nothing back");
        assert!(told(&[ChangesRequested, Approved]));
        assert!(!told(&[Approved, ChangesRequested]));
        assert!(!told(&[Approved, Dismissed]));
        assert!(!told(&[Commented]) && !told(&[Approved, ChangesRequested, Commented]));
        let many = [
            review(1, "Ada", Approved),
            review(2, "cleo", Approved),
            review(3, "bob", Approved),
            review(4, "BOB", Approved),
        ];
        let names: Vec<String> = approvers(&many, "ada", "c0ffee").into_iter().collect();
        assert_eq!(names, ["BOB", "cleo"]);
    }

    #[test]
    fn the_order_is_when_reviews_were_given() {
        let mut late = review(1, "bob", ReviewState::ChangesRequested);
        late.submitted_at = "2026-03-01T11:00:00Z".to_owned();
        let early = review(2, "bob", ReviewState::Approved);
        assert!(approvers(&[early, late], "ada", "c0ffee").is_empty());
    }

    #[test]
    fn an_approval_is_of_the_commit_that_was_read() {
        let approved = [review(1, "bob", ReviewState::Approved)];
        assert!(approvers(&approved, "ada", "pushed later").is_empty());
    }

    #[test]
    fn a_marked_comment_of_somebody_else_is_not_ours() {
        let marked = |body: &str| body.starts_with("<!-- marked");
        let comments = [
            comment(1, "eve", false, "<!-- marked -->"),
            comment(4, "github-actions[bot]", true, "<!-- marked again"),
            comment(3, "github-actions[bot]", true, "<!-- marked"),
            comment(2, "github-actions[bot]", true, "hello"),
            comment(5, "ada", false, "<!-- marked"),
        ];
        let id = |login| mine(&comments, login, &marked).map(|comment| comment.id);
        assert_eq!(id(None), Some(3));
        assert_eq!(id(Some("GitHub-Actions[bot]")), Some(3));
        assert_eq!(id(Some("ada")), Some(5));
        assert_eq!(id(Some("bob")), None);
        assert_eq!(mine(&comments[..1], None, &marked), None);
    }
}
