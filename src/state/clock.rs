//! provisional
use std::sync::Arc;
use std::time::Duration;
#[derive(Clone)]
pub struct Clock {
    pub now: Arc<dyn Fn() -> Duration + Send + Sync>,
    pub sleep: Arc<dyn Fn(Duration) + Send + Sync>,
    pub jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
}
impl Clock {
    pub fn now(&self) -> Duration {
        (self.now)()
    }
    pub fn sleep(&self, d: Duration) {
        (self.sleep)(d)
    }
    pub fn jitter(&self) -> f64 {
        (self.jitter)()
    }
}
