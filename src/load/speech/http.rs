//! HTTP/1.1: one request again and again, any response.

use std::rc::Rc;

use super::super::plan::Ask;
use super::super::target::Target;
use super::{Answer, Bad, Heard};
use crate::protocol::http1::{
    Asked, Body, Decoder, Fields, HeadLimits, MAX_FIELDS, Parsed, Persistence, Progress, Response,
    is_field_value, is_token, write_request_line,
};

/// More than any server that is worth loading sends.
const LIMITS: HeadLimits = HeadLimits {
    bytes: 64 << 10,
    fields: MAX_FIELDS,
};

#[derive(Clone)]
pub(in super::super) struct Speech {
    request: Rc<[u8]>,
    response: Box<Response>,
    /// Of the response whose head has come.
    body: Option<Decoder>,
    answer: Answer,
}

impl Speech {
    pub(super) fn new(target: &Target, ask: &Ask) -> Result<Self, String> {
        Ok(Self {
            request: request(target, ask)?.into(),
            response: Box::default(),
            body: None,
            answer: Answer::default(),
        })
    }

    pub(super) fn ask(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }

    pub(super) fn hear(&mut self, input: &[u8]) -> Result<Heard, Bad> {
        let Some(body) = &mut self.body else {
            return self.head(input);
        };
        let decoded = body.decode(input).map_err(|error| error.to_string())?;
        self.answer.total += decoded.consumed as u64;
        self.answer.data += decoded.data.len() as u64;
        let answer = match decoded.state {
            Progress::End => self.ended(),
            Progress::More => None,
        };
        Ok(Heard {
            consumed: decoded.consumed,
            answer,
            goodbye: false,
        })
    }

    fn head(&mut self, input: &[u8]) -> Result<Heard, Bad> {
        let parsed = self.response.parse(input, &LIMITS, Asked::Other);
        let consumed = match parsed.map_err(|error| error.to_string())? {
            Parsed::Partial => 0,
            Parsed::Whole(bytes) => bytes,
        };
        let mut heard = Heard {
            consumed,
            ..Heard::default()
        };
        if consumed == 0 {
            return Ok(heard);
        }
        let status = self.response.status;
        self.answer.total += consumed as u64;
        self.answer.head += consumed as u64;
        match status {
            101 => return Err("it switches protocols unasked".to_owned()),
            100..=199 => return Ok(heard),
            _ => {}
        }
        self.answer.status = status;
        self.answer.good = (200..400).contains(&status);
        self.answer.last = self.response.persistence == Persistence::Close;
        let body = Decoder::new(self.response.body);
        let ends = body.is_ended();
        self.body = Some(body);
        if ends {
            heard.answer = self.ended();
        }
        Ok(heard)
    }

    fn ended(&mut self) -> Option<Answer> {
        self.body = None;
        Some(std::mem::take(&mut self.answer))
    }

    pub(super) fn end(&mut self) -> Option<Answer> {
        let ends = self.body.is_some() && self.response.body == Body::UntilClose;
        ends.then(|| self.ended()).flatten()
    }
}

fn request(target: &Target, ask: &Ask) -> Result<Vec<u8>, String> {
    let mut fields = Fields::default();
    fields.push(b"Host", target.authority().as_bytes());
    fields.push(b"User-Agent", b"banyan-load");
    fields.push(b"Accept", b"*/*");
    if let Some(body) = &ask.body {
        fields.push(b"Content-Length", body.len().to_string().as_bytes());
    }
    for (name, value) in &ask.fields {
        if !is_token(name.as_bytes()) || !is_field_value(value.as_bytes()) {
            return Err(format!("`{name}: {value}` is no header field"));
        }
        let frames = ["content-length", "transfer-encoding", "expect"];
        if frames.iter().any(|frame| name.eq_ignore_ascii_case(frame)) {
            return Err(format!("`{name}` is said by the body itself"));
        }
        fields.set(name, value.as_bytes());
    }
    let method: &[u8] = match ask.body {
        Some(_) => b"POST",
        None => b"GET",
    };
    let mut text = Vec::new();
    write_request_line(&mut text, method, target.path.as_bytes());
    fields.write_to(&mut text);
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(ask.body.as_deref().unwrap_or_default());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech() -> Speech {
        let target = Target::parse("http://a:81/x").unwrap();
        Speech::new(&target, &Ask::default()).unwrap()
    }

    /// Everything that is heard when `input` comes in pieces of `step`.
    fn heard(input: &[u8], step: usize) -> Vec<Answer> {
        let mut speech = speech();
        let (mut held, mut answers) = (Vec::new(), Vec::new());
        for piece in input.chunks(step) {
            held.extend_from_slice(piece);
            while !held.is_empty() {
                let heard = speech.hear(&held).unwrap();
                held.drain(..heard.consumed);
                answers.extend(heard.answer);
                if heard.consumed == 0 {
                    break;
                }
            }
        }
        answers.extend(speech.end());
        answers
    }

    #[test]
    fn responses_are_counted_however_they_are_cut() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
            HTTP/1.1 204 None\r\n\r\n\
            HTTP/1.1 200 OK\r\n\r\nto the end";
        for step in [1, 2, 7, input.len()] {
            let answers = heard(input, step);
            let found: Vec<_> = answers
                .iter()
                .map(|answer| (answer.status, answer.good, answer.data, answer.last))
                .collect();
            let expected = [
                (200, true, 3, false),
                (503, false, 2, false),
                (204, true, 0, false),
                (200, true, 10, true),
            ];
            assert_eq!(found, expected, "{step}");
            let total: u64 = answers.iter().map(|answer| answer.total).sum();
            assert_eq!(total, input.len() as u64);
        }
    }

    #[test]
    fn what_is_no_response_is_told() {
        for input in [&b"SSH-2.0-x\r\n"[..], b"HTTP/1.1 101 S\r\n\r\n"] {
            assert!(speech().hear(input).is_err());
        }
        assert_eq!(speech().end(), None);
    }

    #[test]
    fn fields_of_the_caller_go_before_ours() {
        let target = Target::parse("http://a:81/x").unwrap();
        let mut ask = Ask {
            fields: vec![("host".to_owned(), "b".to_owned())],
            body: Some(b"hi".to_vec()),
        };
        let text = String::from_utf8(request(&target, &ask).unwrap()).unwrap();
        assert!(text.starts_with("POST /x HTTP/1.1\r\n"), "{text}");
        assert!(text.to_lowercase().contains("host: b\r\n") && !text.contains("a:81"));
        assert!(text.ends_with("Content-Length: 2\r\n\r\nhi") || text.ends_with("\r\n\r\nhi"));
        for name in ["Content-Length", "a b"] {
            ask.fields = vec![(name.to_owned(), "1".to_owned())];
            assert!(request(&target, &ask).is_err(), "{name}");
        }
    }
}
