//! provisional
use super::StateError;
use super::clock::Clock;
use super::store::*;
pub struct Objects {
    store: Box<dyn Store>,
    clock: Clock,
}
impl Objects {
    pub fn new(store: Box<dyn Store>, clock: Clock) -> Self {
        Self { store, clock }
    }
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    pub fn location(&self) -> String {
        self.store.location()
    }
    pub fn get(&self, key: &str) -> Result<Option<Object>, StateError> {
        self.store
            .get(key)
            .map_err(|e| StateError::Refused { what: e.to_string(), next: String::new() })
    }
    pub fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StateError> {
        self.store
            .put(key, expect, bytes)
            .map_err(|e| StateError::Refused { what: e.to_string(), next: String::new() })
    }
}
