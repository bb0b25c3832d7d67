//! Frames: what is checked before a byte of a message is believed.

use flate2::Crc;

use super::Message;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 20;

/// Descriptors beside one frame. The kernel takes 253; fewer keep what is under way small.
pub const MOST_DESCRIPTORS: usize = 250;

/// The version that this process speaks.
const VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"BNYN";

/// A text of thousands of listeners and hosts stays below.
const MOST_TEXT_BYTES: u32 = 16 * 1024 * 1024;

/// What two directions of a connection may have in their pipes, and some more.
const MOST_PAYLOAD_BYTES: u32 = 4 * 1024 * 1024;

/// Why a frame was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Some of it is not what was sent.
    #[error("the checksum of a frame is wrong")]
    Checksum,
    /// It carries more or fewer descriptors than it says.
    #[error("a frame announces {announced} descriptors and came with {came}")]
    Descriptors {
        /// What the header says.
        announced: usize,
        /// What came.
        came: usize,
    },
    /// It is no frame at all.
    #[error("what came is no frame")]
    Magic,
    /// Its text is no message.
    #[error("a frame holds no message: {0}")]
    Message(String),
    /// It is larger than any that is sent.
    #[error("a frame of {0} bytes is too large")]
    TooLarge(u64),
    /// It is of another version.
    #[error("the other process speaks version {0} of the protocol, this one {VERSION}")]
    Version(u16),
}

/// The beginning of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many descriptors come beside it.
    pub descriptors: usize,
    text: usize,
    payload: usize,
    checksum: u32,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when what follows must not be read.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let number = |at: usize| {
            let bytes = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_be_bytes(bytes)
        };
        if bytes[..4] != MAGIC {
            return Err(FrameError::Magic);
        }
        let version = u16::from_be_bytes([bytes[4], bytes[5]]);
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let descriptors = usize::from(u16::from_be_bytes([bytes[6], bytes[7]]));
        let (text, payload) = (number(8), number(12));
        let all = u64::from(text) + u64::from(payload);
        if text > MOST_TEXT_BYTES || payload > MOST_PAYLOAD_BYTES || descriptors > MOST_DESCRIPTORS
        {
            return Err(FrameError::TooLarge(all));
        }
        Ok(Self {
            descriptors,
            text: text as usize,
            payload: payload as usize,
            checksum: number(16),
        })
    }

    /// Bytes that follow it.
    #[must_use]
    pub fn rest(&self) -> usize {
        self.text + self.payload
    }
}

/// Writes a frame. What is too large for one has no place in a message, see [`Header::decode`].
///
/// # Errors
///
/// [`FrameError::TooLarge`] when the other side would refuse it.
pub fn encode(
    message: &Message,
    payload: &[u8],
    descriptors: usize,
) -> Result<Vec<u8>, FrameError> {
    let text =
        serde_json::to_vec(message).map_err(|error| FrameError::Message(error.to_string()))?;
    let all = (text.len() + payload.len()) as u64;
    let length = |bytes: usize, most: u32| u32::try_from(bytes).ok().filter(|len| *len <= most);
    let text_length = length(text.len(), MOST_TEXT_BYTES).ok_or(FrameError::TooLarge(all))?;
    let payload_length =
        length(payload.len(), MOST_PAYLOAD_BYTES).ok_or(FrameError::TooLarge(all))?;
    let count = u16::try_from(descriptors).map_err(|_| FrameError::TooLarge(all))?;
    let mut frame = Vec::with_capacity(HEADER_BYTES + text.len() + payload.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&VERSION.to_be_bytes());
    frame.extend_from_slice(&count.to_be_bytes());
    frame.extend_from_slice(&text_length.to_be_bytes());
    frame.extend_from_slice(&payload_length.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&text);
    frame.extend_from_slice(payload);
    let checksum = checksum(&frame);
    frame[16..HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
    Ok(frame)
}

/// Reads the message of a whole frame, and takes its payload out.
///
/// # Errors
///
/// [`FrameError`] when it is not as it was sent, or not sent by a process like this one.
pub fn decode(frame: &[u8], descriptors: usize) -> Result<(Message, Vec<u8>), FrameError> {
    let head = frame.first_chunk().ok_or(FrameError::Magic)?;
    let header = Header::decode(head)?;
    if frame.len() != HEADER_BYTES + header.rest() || checksum(frame) != header.checksum {
        return Err(FrameError::Checksum);
    }
    if header.descriptors != descriptors {
        return Err(FrameError::Descriptors {
            announced: header.descriptors,
            came: descriptors,
        });
    }
    let (text, payload) = frame[HEADER_BYTES..].split_at(header.text);
    let message =
        serde_json::from_slice(text).map_err(|error| FrameError::Message(error.to_string()))?;
    Ok((message, payload.to_vec()))
}

/// Of everything but the checksum itself.
fn checksum(frame: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&frame[..16]);
    crc.update(&frame[HEADER_BYTES..]);
    crc.sum()
}
