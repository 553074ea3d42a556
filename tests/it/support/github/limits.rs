//! How much may be asked: the hourly limit that every answer tells of, and the secondary limits.

use jiff::Timestamp;

use super::reply::Reply;

const HOUR: i64 = 3600;
const PAGE: &str = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";

/// What a token has used up.
pub(super) struct Limits {
    /// Who a refusal says has asked too much.
    who: String,
    limit: u64,
    used: u64,
    /// When the hour ends, in seconds.
    reset: i64,
    /// The status of refusals.
    status: u16,
    /// Until when a secondary limit holds, in milliseconds.
    until: i64,
    /// Whether the client has been told to wait.
    told: bool,
    /// Calls that came although it had been told.
    pub(super) impatient: usize,
}

impl Limits {
    pub(super) fn new(who: &str, limit: u64) -> Self {
        let reset = now() / 1000 + HOUR;
        let who = who.to_owned();
        Self { who, limit, used: 0, reset, status: 403, until: 0, told: false, impatient: 0 }
    }

    /// Uses up what is left of the hour, which ends in so many seconds.
    pub(super) fn exhaust(&mut self, status: u16, seconds: u64) {
        self.used = self.limit;
        self.status = status;
        // A second that has begun does not count.
        self.reset = (now() + 999) / 1000 + i64::try_from(seconds).unwrap();
        self.told = false;
    }

    /// Leaves so many calls of the hour.
    pub(super) fn leave(&mut self, calls: u64) {
        self.used = self.limit - calls;
    }

    /// Refuses a call for a secondary limit.
    pub(super) fn secondary(&mut self, status: u16, retry_after: Option<u64>) -> Reply {
        let what = format!(
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try \
             again. For more on scraping GitHub and how it may affect your rights, please review \
             our Terms of Service. If you reach out to GitHub Support for help, please include \
             the request ID {:X}.",
            now()
        );
        let page = format!("{PAGE}#about-secondary-rate-limits");
        let mut reply = Reply::error(status, &what, &page);
        if let Some(seconds) = retry_after {
            self.until = now() + 1000 * i64::try_from(seconds).unwrap();
            self.status = status;
            reply.headers.push(("retry-after", seconds.to_string()));
        }
        reply
    }

    /// Counts a call, or refuses it.
    pub(super) fn take(&mut self) -> Result<(), Reply> {
        let now = now();
        if now < self.until {
            self.impatient += 1;
            let left = u64::try_from(self.until - now).unwrap().div_ceil(1000);
            return Err(self.secondary(self.status, Some(left)));
        }
        if now / 1000 >= self.reset {
            (self.used, self.reset, self.told) = (0, now / 1000 + HOUR, false);
        }
        if self.used >= self.limit {
            self.impatient += usize::from(self.told);
            self.told = true;
            let what = format!("API rate limit exceeded for {}.", self.who);
            return Err(Reply::error(self.status, &what, PAGE));
        }
        self.used += 1;
        Ok(())
    }

    /// Gives a call back: what is not modified costs nothing.
    pub(super) fn give(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", (self.limit - self.used).to_string()),
            ("x-ratelimit-used", self.used.to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
            ("x-ratelimit-resource", "core".to_owned()),
        ]
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
