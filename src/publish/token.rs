//! The token that GitHub knows us by, which nobody else may see.

use super::error::PublishError;

/// What stands in its place.
const COVER: &str = "***";

/// A token of GitHub's.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(COVER)
    }
}

impl Token {
    /// A token as it stands in the environment; white space around it is not part of it.
    ///
    /// # Errors
    /// Where it is empty, or has in it what no token has.
    pub fn new(text: &str) -> Result<Self, PublishError> {
        let text = text.trim();
        let wrong = match text {
            "" => "the token is empty",
            _ if !text.bytes().all(|it| it.is_ascii_graphic()) => {
                "the token has characters in it that no token of GitHub has"
            }
            _ => return Ok(Self(text.to_owned())),
        };
        Err(PublishError::Setup {
            what: wrong.to_owned(),
            next: "set `GITHUB_TOKEN: ${{ github.token }}` in the step's `env:`".to_owned(),
        })
    }

    /// The token itself, for the header alone.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    /// A text without it, in whichever case: a host is written in small letters.
    pub fn cover(&self, text: &str) -> String {
        let (lower, secret) = (text.to_ascii_lowercase(), self.0.to_ascii_lowercase());
        let mut covered = String::with_capacity(text.len());
        let mut at = 0;
        for (found, _) in lower.match_indices(&secret) {
            covered.push_str(&text[at..found]);
            covered.push_str(COVER);
            at = found + secret.len();
        }
        covered.push_str(&text[at..]);
        covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_shows() {
        let token = Token::new(" ghs_16C7e42F292c6912E7\n").unwrap();
        assert_eq!(token.secret(), "ghs_16C7e42F292c6912E7");
        assert_eq!(format!("{token:?} {:?}", Some(&token)), "*** Some(***)");
        let text = "Bearer ghs_16C7e42F292c6912E7, ghs_16C7e42F292c6912E7";
        assert_eq!(token.cover(text), "Bearer ***, ***");
        assert_eq!(
            token.cover("ä http://GHS_16c7e42f292c6912e7.example ü"),
            "ä http://***.example ü"
        );
    }

    #[test]
    fn what_is_none_is_refused_without_showing_it() {
        for text in ["", " \n", "ghs_two words", "ghs_line\nend", "ghs_ü", "ghs_\u{7f}"] {
            let error = Token::new(text).unwrap_err();
            assert!(!error.to_string().contains("ghs_") && error.next().contains("GITHUB_TOKEN"));
        }
    }
}
