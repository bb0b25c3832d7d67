//! Raw TCP: bytes go, and the same bytes are to come back.

use std::rc::Rc;

use super::super::plan::Ask;
use super::{Answer, Bad, Heard};

/// What is sent where no file says otherwise.
const BYTES: usize = 1024;

#[derive(Clone)]
pub(in super::super) struct Speech {
    request: Rc<[u8]>,
    /// How much of an answer has come.
    heard: usize,
}

impl Speech {
    pub(super) fn new(ask: &Ask) -> Result<Self, String> {
        if !ask.fields.is_empty() {
            return Err("tcp has no header".to_owned());
        }
        let request: Rc<[u8]> = match &ask.body {
            Some(body) if body.is_empty() => return Err("an empty request is no request".into()),
            Some(body) => body.as_slice().into(),
            None => (b'a'..=b'z').cycle().take(BYTES).collect(),
        };
        Ok(Self { request, heard: 0 })
    }

    pub(super) fn ask(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }

    pub(super) fn hear(&mut self, input: &[u8]) -> Result<Heard, Bad> {
        let awaited = &self.request[self.heard..];
        let consumed = awaited.len().min(input.len());
        if input[..consumed] != awaited[..consumed] {
            return Err("what came back is not what was sent".to_owned());
        }
        self.heard += consumed;
        let whole = self.heard == self.request.len();
        let bytes = self.request.len() as u64;
        let answer = whole.then_some(Answer {
            good: true,
            total: bytes,
            data: bytes,
            ..Answer::default()
        });
        if whole {
            self.heard = 0;
        }
        Ok(Heard {
            consumed,
            answer,
            goodbye: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_an_answer_when_all_of_it_came_back() {
        let ask = Ask {
            body: Some(b"abc".to_vec()),
            ..Ask::default()
        };
        let mut speech = Speech::new(&ask).unwrap();
        assert_eq!(speech.hear(b"ab").unwrap().answer, None);
        let heard = speech.hear(b"cab").unwrap();
        assert_eq!(heard.consumed, 1);
        assert_eq!(heard.answer.map(|answer| answer.data), Some(3));
        assert!(speech.hear(b"x").is_err());
    }
}
