//! What a store is told about the world around it.

use std::sync::Arc;

use crate::clock::{Clock, Random};

/// Time, randomness, and who is at work where: all that goes into a log entry from outside.
#[derive(Debug, Clone)]
pub struct World {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub random: Arc<dyn Random>,
    /// This machine's name.
    pub host: String,
    /// Who is at work.
    pub author: String,
}

impl World {
    /// `N` random bytes.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}
