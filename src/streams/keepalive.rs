//! Whether a peer that says nothing is still there.

use std::time::{Duration, Instant};

/// How a silent peer is asked (MOSN 1.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rhythm {
    /// It is asked after so much silence.
    pub idle: Duration,
    /// So long it may take to answer.
    pub patience: Duration,
    /// After so many questions in a row without an answer it is given up.
    pub failures: u32,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15),
            patience: Duration::from_secs(1),
            failures: 6,
        }
    }
}

/// How a peer was found, for whoever goes on asking it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Beat {
    /// For how long it has said nothing, or since when it was asked.
    pub quiet: Duration,
    /// How long ago it was asked what it has not answered.
    pub asked: Option<Duration>,
    /// Questions in a row that it has not answered in time.
    pub failed: u32,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// The peer is asked whether it is there.
    Ask,
    /// It is not.
    GiveUp,
}

/// Asks a peer that says nothing, and gives it up when it does not answer.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    rhythm: Rhythm,
    /// When it last said anything, or was asked.
    since: Instant,
    /// When it was asked what it has not answered.
    asked: Option<Instant>,
    failed: u32,
}

impl Keepalive {
    /// A peer that is there now.
    #[must_use]
    pub fn new(rhythm: Rhythm, now: Instant) -> Self {
        Self {
            rhythm,
            since: now,
            asked: None,
            failed: 0,
        }
    }

    /// A peer that was found so before.
    #[must_use]
    pub fn resumed(rhythm: Rhythm, beat: Beat, now: Instant) -> Self {
        let ago = |time: Duration| now.checked_sub(time).unwrap_or(now);
        Self {
            rhythm,
            since: ago(beat.quiet),
            asked: beat.asked.map(ago),
            failed: beat.failed,
        }
    }

    /// How the peer was found by now.
    #[must_use]
    pub fn beat(&self, now: Instant) -> Beat {
        let since = |then: Instant| now.saturating_duration_since(then);
        Beat {
            quiet: since(self.since),
            asked: self.asked.map(since),
            failed: self.failed,
        }
    }

    /// The peer has said something: whatever that is, it is there.
    pub fn heard(&mut self, now: Instant) {
        self.since = now;
        self.asked = None;
        self.failed = 0;
    }

    /// What is to be done by now.
    pub fn step(&mut self, now: Instant) -> Step {
        if let Some(asked) = self.asked
            && now.saturating_duration_since(asked) >= self.rhythm.patience
        {
            self.asked = None;
            self.failed += 1;
            if self.failed >= self.rhythm.failures {
                return Step::GiveUp;
            }
        }
        if self.asked.is_none() && now.saturating_duration_since(self.since) >= self.rhythm.idle {
            self.since = now;
            self.asked = Some(now);
            return Step::Ask;
        }
        Step::Rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done in each second, and in which.
    fn steps(heard: &[u64], until: u64) -> Vec<(u64, Step)> {
        let begun = Instant::now();
        let mut keepalive = Keepalive::new(Rhythm::default(), begun);
        let mut steps = Vec::new();
        for second in 1..=until {
            let now = begun + Duration::from_secs(second);
            if heard.contains(&second) {
                keepalive.heard(now);
            }
            let step = keepalive.step(now);
            if step != Step::Rest {
                steps.push((second, step));
            }
            if step == Step::GiveUp {
                break;
            }
        }
        steps
    }

    #[test]
    fn a_peer_that_never_answers_is_given_up_after_six_questions() {
        let asked = [15, 30, 45, 60, 75, 90].map(|second| (second, Step::Ask));
        let expected = [asked.as_slice(), &[(91, Step::GiveUp)]].concat();
        assert_eq!(steps(&[], 200), expected);
    }

    #[test]
    fn a_peer_that_answers_is_asked_after_each_silence() {
        // MOSN's own test: two heartbeats within 33 seconds of silence.
        assert_eq!(steps(&[16, 32], 33), [(15, Step::Ask), (31, Step::Ask)]);
        let busy: Vec<u64> = (0..100).map(|n| n * 3).collect();
        assert_eq!(steps(&busy, 200), []);
    }

    #[test]
    fn whoever_goes_on_asks_when_the_other_one_would_have() {
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        let mut keepalive = Keepalive::new(Rhythm::default(), begun);
        for second in 1..200 {
            // Another process goes on each second, and has a clock of its own.
            let beat = keepalive.beat(at(second));
            keepalive = Keepalive::resumed(Rhythm::default(), beat, at(second));
            if keepalive.step(at(second)) == Step::GiveUp {
                assert_eq!(second, 91);
                return;
            }
        }
        panic!("it was never given up");
    }

    #[test]
    fn one_answer_makes_up_for_all_before_it() {
        let steps = steps(&[76], 200);
        let asked = steps.iter().filter(|(_, step)| *step == Step::Ask);
        assert_eq!(asked.count(), 5 + 6);
        assert_eq!(steps.last(), Some(&(76 + 91, Step::GiveUp)));
    }
}
