//! SOFA Bolt as sofaload speaks it: one request of SOFARPC, again and again, under another id.

use std::rc::Rc;
use std::time::Duration;

use super::super::hessian;
use super::super::plan::Ask;
use super::{Answer, Bad, Heard};
use crate::protocol::bolt::{
    Answer as Wants, Checksum, Parts, REQUEST_CLASS, Request, V1, Version, write_header,
};
use crate::protocol::rpc::{Codec, Decoded, Kind};

/// Bytes of an answer at most: what a proxy lets through unless it is told otherwise.
const MOST: usize = 64 << 20;

/// What the request says of its timeout.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the id of a frame of version 1 stands.
const ID: std::ops::Range<usize> = 5..9;

#[derive(Clone)]
pub(in super::super) struct Speech {
    request: Rc<[u8]>,
}

impl Speech {
    pub(super) fn new(ask: &Ask) -> Result<Self, String> {
        let service = ("service".to_owned(), hessian::SERVICE.to_owned());
        let mut fields = vec![service];
        for (name, value) in &ask.fields {
            match fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(value),
                None => fields.push((name.clone(), value.clone())),
            }
        }
        let mut headers = Vec::new();
        for (name, value) in &fields {
            write_header(&mut headers, name.as_bytes(), value.as_bytes());
        }
        let content = ask.body.clone().unwrap_or_else(hessian::request);
        let request = Request {
            version: Version::V1,
            checksum: Checksum::None,
            id: 0,
            timeout: Some(TIMEOUT),
            answer: Wants::Wanted,
            parts: Parts {
                class: REQUEST_CLASS.as_bytes(),
                headers: &headers,
                content: &content,
            },
        };
        let mut frame = Vec::new();
        request.write(&mut frame).map_err(|flaw| flaw.to_string())?;
        Ok(Self {
            request: frame.into(),
        })
    }

    pub(super) fn ask(&self, id: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.request);
        out[start..][ID].copy_from_slice(&id.to_be_bytes());
    }

    pub(super) fn hear(input: &[u8]) -> Result<Heard, Bad> {
        let decoded = V1.decode(input, MOST).map_err(|error| error.to_string())?;
        let Decoded::Frame(frame) = decoded else {
            return Ok(Heard::default());
        };
        let mut heard = Heard {
            consumed: frame.length,
            ..Heard::default()
        };
        match frame.kind {
            Kind::Response => {
                let parts = Parts::of(&frame, input);
                let data = parts.class.len() + frame.headers.len() + frame.content.len();
                heard.answer = Some(Answer {
                    to: u32::try_from(frame.asker.id).ok(),
                    status: frame.status,
                    good: frame.status == 0,
                    total: frame.length as u64,
                    head: (frame.length - data) as u64,
                    data: data as u64,
                    last: false,
                });
            }
            Kind::GoAway => heard.goodbye = true,
            // Nobody here keeps a connection alive, or tells that it is.
            Kind::Heartbeat | Kind::HeartbeatAck => {}
            Kind::Request | Kind::OneWay => return Err("it asks where it is asked".to_owned()),
        }
        Ok(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_sofaloads_byte_for_byte() {
        let mut frame = Vec::new();
        Speech::new(&Ask::default()).unwrap().ask(1, &mut frame);
        let mut sum = flate2::Crc::new();
        sum.update(&frame);
        // Of the frame whose SHA-256 begins with 422969b8 and ends with fc49094b.
        assert_eq!((frame.len(), sum.sum()), (1426, CRC));
    }

    const CRC: u32 = 0xb213_7257;

    #[test]
    fn headers_of_the_caller_go_before_ours() {
        let ask = Ask {
            fields: vec![("service".into(), "s".into()), ("k".into(), "v".into())],
            body: Some(b"hi".to_vec()),
        };
        let mut bytes = Vec::new();
        Speech::new(&ask).unwrap().ask(7, &mut bytes);
        let Ok(Decoded::Frame(frame)) = V1.decode(&bytes, MOST) else {
            panic!("{bytes:?}");
        };
        assert_eq!((frame.asker.id, frame.content.of(&bytes)), (7, &b"hi"[..]));
        for (name, value) in [("service", "s"), ("k", "v")] {
            let found = V1.header(&frame, &bytes, name.as_bytes());
            assert_eq!(found, Ok(Some(value.as_bytes())), "{name}");
        }
        let long = Ask {
            fields: vec![("k".into(), "v".repeat(1 << 16))],
            body: None,
        };
        assert!(Speech::new(&long).is_err());
    }

    #[test]
    fn answers_goodbyes_and_what_is_neither_are_told_apart() {
        let mut answer = Vec::new();
        let response = crate::protocol::bolt::Response {
            version: Version::V1,
            checksum: Checksum::None,
            id: 9,
            status: 7,
            parts: Parts {
                class: b"C",
                headers: &[],
                content: b"hello",
            },
        };
        response.write(&mut answer).unwrap();
        assert_eq!(Speech::hear(&answer[..20]), Ok(Heard::default()));
        let heard = Speech::hear(&answer).unwrap().answer.unwrap();
        assert_eq!((heard.to, heard.status, heard.good), (Some(9), 7, false));
        assert_eq!((heard.total, heard.head, heard.data), (26, 20, 6));

        let goaway = V1.goaway(1).unwrap();
        assert!(Speech::hear(&goaway).unwrap().goodbye);
        let mut asks = Vec::new();
        Speech::new(&Ask::default()).unwrap().ask(1, &mut asks);
        for wrong in [&asks[..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
            assert!(Speech::hear(wrong).is_err());
        }
    }
}
