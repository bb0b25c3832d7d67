//! HTTP/1.1: every request is answered with the same body, or with a 500.

use super::waiting::Waiting;
use super::{Answers, Then};
use crate::protocol::http1::{
    Decoder, HeadLimits, Method, Parsed, Persistence, Progress, Request, standard_reason,
    write_status_line,
};

/// Bytes of a body where nothing is said.
const BODY: usize = 1024;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 << 10,
    fields: 256,
};

pub(super) struct Speech {
    body: Vec<u8>,
    error_rate: f64,
    request: Box<Request>,
    /// Of the request whose head has come.
    reading: Option<Decoder>,
    /// The beginning of a head.
    held: Vec<u8>,
}

impl Speech {
    pub(super) fn new(answers: &Answers) -> Self {
        let letters = (b'a'..=b'z').cycle();
        Self {
            body: letters.take(answers.body.unwrap_or(BODY)).collect(),
            error_rate: answers.error_rate,
            request: Box::default(),
            reading: None,
            held: Vec::new(),
        }
    }

    pub(super) fn hear(&mut self, input: &[u8], answers: &mut Waiting) -> (u64, Then) {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(input);
        let (mut at, mut count) = (0, 0);
        while at < held.len() {
            match self.step(&held[at..], answers) {
                Ok((0, _)) => break,
                Ok((bytes, ended)) => {
                    at += bytes;
                    count += u64::from(ended);
                    if ended && self.request.persistence == Persistence::Close {
                        return (count, Then::Close);
                    }
                }
                Err(status) => {
                    self.answer(status, Persistence::Close, answers);
                    return (count, Then::Close);
                }
            }
        }
        held.drain(..at);
        self.held = held;
        (count, Then::GoOn)
    }

    /// Reads a head or a piece of a body: bytes, and whether the request has ended.
    fn step(&mut self, input: &[u8], answers: &mut Waiting) -> Result<(usize, bool), u16> {
        let (bytes, ended) = match &mut self.reading {
            Some(body) => {
                let decoded = body.decode(input).map_err(|_| 400_u16)?;
                (decoded.consumed, decoded.state == Progress::End)
            }
            None => {
                let parsed = self.request.parse(input, &LIMITS);
                let Parsed::Whole(bytes) = parsed.map_err(|refusal| refusal.status())? else {
                    return Ok((0, false));
                };
                let body = Decoder::new(self.request.body);
                let ended = body.is_ended();
                if !ended && self.request.expects_continue() {
                    answers.put_after(std::time::Duration::ZERO, |out| {
                        out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    });
                }
                self.reading = Some(body);
                (bytes, ended)
            }
        };
        if ended {
            self.reading = None;
            let fails = self.error_rate > 0.0 && rand::random_bool(self.error_rate);
            let status = if fails { 500 } else { 200 };
            self.answer(status, self.request.persistence, answers);
        }
        Ok((bytes, ended))
    }

    fn answer(&self, status: u16, persistence: Persistence, answers: &mut Waiting) {
        answers.put(|out| {
            write_status_line(out, status, standard_reason(status).as_bytes());
            out.extend_from_slice(b"Content-Type: text/plain\r\nContent-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(self.body.len()).as_bytes());
            out.extend_from_slice(b"\r\n");
            if persistence == Persistence::Close {
                out.extend_from_slice(b"Connection: close\r\n");
            }
            out.extend_from_slice(b"\r\n");
            if self.request.method != Method::Head {
                out.extend_from_slice(&self.body);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::super::target::Protocol;
    use super::*;

    /// What is answered to `input`, a byte at a time; how many requests were read.
    fn answered(input: &[u8]) -> (String, u64, Then) {
        let answers = Answers {
            protocol: Protocol::Http,
            delay: Duration::ZERO,
            order: super::super::Order::Kept,
            error_rate: 0.0,
            body: Some(2),
        };
        let mut speech = Speech::new(&answers);
        let mut waiting = Waiting::new(Duration::ZERO);
        let (mut requests, mut then) = (0, Then::GoOn);
        for byte in input.chunks(1) {
            if then == Then::GoOn {
                let (count, after) = speech.hear(byte, &mut waiting);
                (requests, then) = (requests + count, after);
            }
        }
        let out = waiting.ready(Instant::now()).to_vec();
        (String::from_utf8(out).unwrap(), requests, then)
    }

    #[test]
    fn each_request_is_answered_and_the_last_one_closes() {
        let (out, requests, then) = answered(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
              HEAD / HTTP/1.1\r\nHost: a\r\n\r\n\
              GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET",
        );
        assert_eq!((requests, then), (3, Then::Close));
        assert_eq!(out.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{out}");
        assert_eq!(out.matches("\r\n\r\nab").count(), 2, "{out}");
        assert_eq!(out.matches("Connection: close").count(), 1, "{out}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let (out, requests, then) = answered(b"hello\r\n\r\n");
        assert!(out.starts_with("HTTP/1.1 400 "), "{out}");
        assert_eq!((requests, then), (0, Then::Close));
    }
}
