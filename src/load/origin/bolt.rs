//! SOFA Bolt: every request is answered with the answer of SOFARPC, or with an error.

use std::time::Duration;

use super::super::hessian;
use super::waiting::Waiting;
use super::{Answers, Order, Then};
use crate::protocol::bolt::{Checksum, Parts, RESPONSE_CLASS, Response, Status, V1, Version};
use crate::protocol::rpc::{Codec, Decoded, Frame, Kind};

/// Bytes of a request at most.
const MOST: usize = 64 << 20;

pub(super) struct Speech {
    error_rate: f64,
    delay: Duration,
    order: Order,
    content: Vec<u8>,
    /// The beginning of a frame.
    held: Vec<u8>,
}

impl Speech {
    pub(super) fn new(answers: &Answers) -> Self {
        let letters = (b'a'..=b'z').cycle();
        Self {
            error_rate: answers.error_rate,
            delay: answers.delay,
            order: answers.order,
            content: match answers.body {
                Some(bytes) => letters.take(bytes).collect(),
                None => hessian::response(),
            },
            held: Vec::new(),
        }
    }

    pub(super) fn hear(&mut self, input: &[u8], answers: &mut Waiting) -> (u64, Then) {
        if self.held.is_empty() {
            let (at, count, then) = self.frames(input, answers);
            self.held.extend_from_slice(&input[at..]);
            return (count, then);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(input);
        let (at, count, then) = self.frames(&held, answers);
        held.drain(..at);
        self.held = held;
        (count, then)
    }

    /// Answers every whole frame; where the rest begins, and how many were requests.
    fn frames(&self, input: &[u8], answers: &mut Waiting) -> (usize, u64, Then) {
        let (mut at, mut count) = (0, 0);
        loop {
            let frame = match V1.decode(&input[at..], MOST) {
                Ok(Decoded::Frame(frame)) => frame,
                Ok(Decoded::Need(_)) => return (at, count, Then::GoOn),
                Err(_) => return (at, count, Then::Close),
            };
            at += frame.length;
            match frame.kind {
                Kind::Request => self.answer(&frame, answers),
                Kind::OneWay => {}
                Kind::Heartbeat => {
                    answers.put_after(Duration::ZERO, |out| V1.acknowledge(&frame.asker, out));
                    continue;
                }
                Kind::HeartbeatAck | Kind::GoAway => continue,
                Kind::Response => return (at, count, Then::Close),
            }
            count += 1;
        }
    }

    fn answer(&self, frame: &Frame, answers: &mut Waiting) {
        let fails = self.error_rate > 0.0 && rand::random_bool(self.error_rate);
        let status = match fails {
            true => Status::ServerException,
            false => Status::Success,
        };
        let response = Response {
            version: Version::of(frame.asker.dialect).unwrap_or(Version::V1),
            checksum: Checksum::None,
            id: u32::try_from(frame.asker.id).unwrap_or(u32::MAX),
            status: status as u16,
            parts: Parts {
                class: RESPONSE_CLASS.as_bytes(),
                headers: &[],
                content: &self.content,
            },
        };
        let delay = match self.order {
            Order::Kept => self.delay,
            Order::Any => self.delay.mul_f64(rand::random()),
        };
        answers.put_after(delay, |out| {
            // No content is longer than a frame can say: it is at most a GiB.
            let _fits = response.write(out);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::super::super::target::Protocol;
    use super::*;
    use crate::protocol::bolt::{Answer, Request};

    fn speech() -> Speech {
        Speech::new(&Answers {
            protocol: Protocol::Sofarpc,
            delay: Duration::ZERO,
            order: Order::Kept,
            error_rate: 0.0,
            body: None,
        })
    }

    fn request(id: u32, version: Version, answer: Answer) -> Vec<u8> {
        let mut frame = Vec::new();
        let request = Request {
            version,
            checksum: Checksum::None,
            id,
            timeout: None,
            answer,
            parts: Parts::default(),
        };
        request.write(&mut frame).unwrap();
        frame
    }

    #[test]
    fn requests_are_answered_by_their_ids_and_in_their_version() {
        let input = [
            request(7, Version::V1, Answer::Wanted),
            request(8, Version::V1, Answer::Unwanted),
            V1.heartbeat(9).unwrap(),
            request(10, Version::V2, Answer::Wanted),
        ]
        .concat();
        for step in [1, 5, input.len()] {
            let (mut speech, mut waiting) = (speech(), Waiting::new(Duration::ZERO));
            let mut count = 0;
            for piece in input.chunks(step) {
                count += speech.hear(piece, &mut waiting).0;
            }
            let out = waiting.ready(Instant::now());
            let (mut at, mut found) = (0, Vec::new());
            while let Ok(Decoded::Frame(frame)) = V1.decode(&out[at..], MOST) {
                found.push((
                    frame.kind,
                    frame.asker.id,
                    frame.asker.dialect,
                    frame.length,
                ));
                at += frame.length;
            }
            let expected = [
                (Kind::Response, 7, 1, 1264),
                (Kind::HeartbeatAck, 9, 1, 20),
                (Kind::Response, 10, 2, 1266),
            ];
            assert_eq!(
                (count, &*found, at),
                (3, &expected[..], out.len()),
                "{step}"
            );
        }
    }

    #[test]
    fn what_nobody_asks_ends_the_connection() {
        let mut waiting = Waiting::new(Duration::ZERO);
        for input in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[1, 0, 0, 2, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(speech().hear(input, &mut waiting), (0, Then::Close));
        }
    }
}
