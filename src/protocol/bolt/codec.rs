//! What every protocol of frames can do, as Bolt does it.

use super::super::rpc::{Asker, Codec, Decoded, Edit, Flaw, Frame, Malformed, Span};
use super::head::{self, Head, Version};
use super::headers::{self, Headers};
use super::message::{Checksum, Opening, Parts, Response};
use super::status::Status;

/// The codec. Both versions read and answer frames of either; they differ in the frames that
/// nobody asked for.
#[derive(Clone, Copy, Debug)]
pub struct Bolt {
    version: Version,
}

/// `bolt`.
pub static V1: Bolt = Bolt {
    version: Version::V1,
};

/// `boltv2`.
pub static V2: Bolt = Bolt {
    version: Version::V2,
};

/// What a heartbeat says of its timeout: none.
const NO_TIMEOUT: [u8; 4] = (-1_i32).to_be_bytes();

impl Bolt {
    /// A frame without parts.
    fn bare(self, type_byte: u8, command: u16, id: u32, said: &[u8]) -> Vec<u8> {
        let opening = Opening {
            version: self.version,
            checksum: Checksum::None,
            type_byte,
            command,
            id,
        };
        let mut out = Vec::with_capacity(self.version.fixed(type_byte));
        opening
            .write(said, &Parts::default(), &mut out)
            .expect("no part is longer than its length can say");
        out
    }
}

impl Codec for Bolt {
    fn name(&self) -> &'static str {
        match self.version {
            Version::V1 => "bolt",
            Version::V2 => "boltv2",
        }
    }

    fn decode(&self, bytes: &[u8], most: usize) -> Result<Decoded, Malformed> {
        let head = match Head::read(bytes) {
            Ok(head) => head,
            Err(Ok(needed)) => return Ok(Decoded::Need(needed)),
            Err(Err(malformed)) => return Err(malformed),
        };
        let refuse = |flaw| Malformed {
            flaw,
            asker: head.waits().then(|| head.asker()),
        };
        let length = usize::try_from(head.length())
            .ok()
            .filter(|length| *length <= most)
            .ok_or_else(|| refuse(Flaw::TooLong))?;
        if bytes.len() < length {
            return Ok(Decoded::Need(length));
        }
        let (counted, sum) = bytes[..length].split_at(length - head.checksum);
        if head.checksum > 0 && head::checksum(counted) != sum {
            return Err(refuse(Flaw::Checksum));
        }
        Ok(Decoded::Frame(frame(&head, length)))
    }

    fn header<'a>(
        &self,
        frame: &Frame,
        bytes: &'a [u8],
        name: &[u8],
    ) -> Result<Option<&'a [u8]>, Flaw> {
        Headers::of(frame.headers.of(bytes)).find(name)
    }

    fn each_header(
        &self,
        frame: &Frame,
        bytes: &[u8],
        tell: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), Flaw> {
        for header in Headers::of(frame.headers.of(bytes)) {
            let (name, value) = header?;
            tell(name, value);
        }
        Ok(())
    }

    fn edited(&self, frame: &Frame, bytes: &[u8], edits: &[Edit<'_>]) -> Result<Vec<u8>, Flaw> {
        headers::edited(frame.headers.of(bytes), edits)
    }

    fn relay(
        &self,
        frame: &Frame,
        bytes: &[u8],
        id: u64,
        headers: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        match headers {
            None => out.extend_from_slice(&bytes[..frame.content.end]),
            Some(block) => {
                out.extend_from_slice(&bytes[..frame.headers.start]);
                let at = start + head::header_length_at(bytes);
                let length = u16::try_from(block.len())
                    .expect("a block that was edited is no longer than a frame can say");
                out[at..at + 2].copy_from_slice(&length.to_be_bytes());
                out.extend_from_slice(block);
                out.extend_from_slice(frame.content.of(bytes));
            }
        }
        write_id(&mut out[start..], id);
        if frame.length > frame.content.end {
            let sum = head::checksum(&out[start..]);
            out.extend_from_slice(&sum);
        }
    }

    fn set_id(&self, frame: &mut Frame, bytes: &mut [u8], id: u64) {
        write_id(bytes, id);
        frame.asker.id = id;
        if frame.length > frame.content.end {
            let (counted, sum) = bytes[..frame.length].split_at_mut(frame.content.end);
            sum.copy_from_slice(&head::checksum(counted));
        }
    }

    fn last_id(&self) -> u64 {
        u64::from(u32::MAX)
    }

    fn code(&self, frame: &Frame) -> u16 {
        Status::to_code(frame.status)
    }

    fn reply(&self, to: &Asker, code: u16, body: &[u8], out: &mut Vec<u8>) {
        let version = Version::of(to.dialect).unwrap_or(self.version);
        let response = Response {
            version,
            checksum: Checksum::None,
            id: wire_id(to.id),
            status: Status::for_code(code, version) as u16,
            parts: Parts {
                content: body,
                ..Parts::default()
            },
        };
        response
            .write(out)
            .expect("the text of an answer of our own is short");
    }

    fn acknowledge(&self, heartbeat: &Asker, out: &mut Vec<u8>) {
        let version = Version::of(heartbeat.dialect).unwrap_or(self.version);
        let said = (Status::Success as u16).to_be_bytes();
        let id = wire_id(heartbeat.id);
        let ack = Self { version }.bare(head::RESPONSE, head::HEARTBEAT, id, &said);
        out.extend_from_slice(&ack);
    }

    fn heartbeat(&self, id: u64) -> Option<Vec<u8>> {
        Some(self.bare(head::REQUEST, head::HEARTBEAT, wire_id(id), &NO_TIMEOUT))
    }

    fn goaway(&self, id: u64) -> Option<Vec<u8>> {
        let said = 0_i32.to_be_bytes();
        match self.version {
            Version::V1 => Some(self.bare(head::REQUEST, head::GOAWAY, wire_id(id), &said)),
            Version::V2 => None,
        }
    }
}

fn frame(head: &Head, length: usize) -> Frame {
    let headers = head.version.fixed(head.type_byte) + head.class;
    let content = headers + head.headers;
    Frame {
        kind: head.kind,
        asker: head.asker(),
        timeout: head.timeout,
        status: head.status,
        headers: Span {
            start: headers,
            end: content,
        },
        content: Span {
            start: content,
            end: length - head.checksum,
        },
        length,
    }
}

fn write_id(frame: &mut [u8], id: u64) {
    let at = Version::of(frame[0]).unwrap_or(Version::V1).id_at();
    frame[at..at + 4].copy_from_slice(&wire_id(id).to_be_bytes());
}

/// Ids are counted up to [`Codec::last_id`], so none is cut here.
fn wire_id(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}
