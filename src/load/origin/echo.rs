//! Raw TCP: what comes goes back.

use super::waiting::Waiting;
use super::{Answers, Then};

pub(super) struct Speech {
    error_rate: f64,
}

impl Speech {
    pub(super) fn new(answers: &Answers) -> Self {
        Self {
            error_rate: answers.error_rate,
        }
    }

    /// Bytes have no errors but the end of the connection.
    pub(super) fn hear(&self, input: &[u8], answers: &mut Waiting) -> (u64, Then) {
        if self.error_rate > 0.0 && rand::random_bool(self.error_rate) {
            return (1, Then::Close);
        }
        answers.put(|out| out.extend_from_slice(input));
        (1, Then::GoOn)
    }
}
