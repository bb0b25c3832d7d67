//! The frames of a stream that comes in pieces.

use super::{Codec, Decoded, FrameBytes, Malformed, Message};

/// What came of a frame that is not whole yet. Between two frames it holds no memory.
///
/// It grows with what comes, never with what a length announces.
#[derive(Debug, Default)]
pub struct Inbox {
    unread: Vec<u8>,
}

impl Inbox {
    /// One that has had these bytes of a frame that is not whole.
    #[must_use]
    pub fn resumed(unread: Vec<u8>) -> Self {
        Self { unread }
    }

    /// Takes the next piece of the stream, and hands each frame that is whole by now to `each`.
    ///
    /// # Errors
    ///
    /// What makes the stream unreadable; the frames before it were handed over.
    pub fn take(
        &mut self,
        codec: &dyn Codec,
        most: usize,
        input: &[u8],
        each: &mut dyn FnMut(Message),
    ) -> Result<(), Malformed> {
        if self.unread.is_empty() {
            let used = read(codec, most, input, each)?;
            self.unread.extend_from_slice(&input[used..]);
            return Ok(());
        }
        self.unread.extend_from_slice(input);
        if let Decoded::Frame(frame) = codec.decode(&self.unread, most)?
            && frame.length == self.unread.len()
        {
            let bytes = std::mem::take(&mut self.unread).into();
            each(Message { frame, bytes });
            return Ok(());
        }
        let unread = std::mem::take(&mut self.unread);
        let used = read(codec, most, &unread, each)?;
        self.unread = match used {
            0 => unread,
            _ => unread[used..].to_vec(),
        };
        Ok(())
    }

    /// Whether the stream stands between two frames.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }

    /// What came of a frame that is not whole.
    #[must_use]
    pub fn into_unread(self) -> Vec<u8> {
        self.unread
    }
}

/// Hands over the whole frames of `input`; how many bytes those have.
fn read(
    codec: &dyn Codec,
    most: usize,
    input: &[u8],
    each: &mut dyn FnMut(Message),
) -> Result<usize, Malformed> {
    let mut used = 0;
    loop {
        let rest = &input[used..];
        match codec.decode(rest, most)? {
            Decoded::Need(_) => return Ok(used),
            Decoded::Frame(frame) => {
                let bytes = FrameBytes::copied(&rest[..frame.length]);
                used += frame.length;
                each(Message { frame, bytes });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::bolt::V1;
    use crate::protocol::rpc::Flaw;

    const MOST: usize = 64;

    /// Frames without class and headers, and with contents of these lengths.
    fn stream(contents: &[u8]) -> Vec<u8> {
        let mut stream = Vec::new();
        for (id, &length) in contents.iter().enumerate() {
            stream.extend_from_slice(&[1, 1, 0, 1, 1, 0, 0, 0, u8::try_from(id).unwrap(), 1]);
            stream.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, length]);
            stream.extend((0..length).map(|n| n.wrapping_mul(7)));
        }
        stream
    }

    #[test]
    fn between_two_frames_it_holds_nothing() {
        let stream = stream(&[3, 5]);
        let mut inbox = Inbox::default();
        let mut count = 0;
        for piece in [&stream[..10], &stream[10..25], &stream[25..]] {
            inbox.take(&V1, MOST, piece, &mut |_| count += 1).unwrap();
        }
        assert_eq!((count, inbox.is_empty()), (2, true));
        assert_eq!(inbox.unread.capacity(), 0);
    }

    #[test]
    fn what_is_announced_is_no_reason_to_grow() {
        let head = [
            1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
        ];
        let mut inbox = Inbox::default();
        inbox.take(&V1, usize::MAX, &head, &mut |_| {}).unwrap();
        assert!(inbox.unread.capacity() < 100);
    }

    #[test]
    fn what_is_wrong_is_refused_at_the_byte_that_tells() {
        let mut inbox = Inbox::default();
        inbox.take(&V1, MOST, &[1], &mut |_| {}).unwrap();
        let refused = inbox.take(&V1, MOST, &[3], &mut |_| {});
        assert_eq!(refused.unwrap_err().flaw, Flaw::Type);
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same_frames(
            contents in vec(0..40_u8, 0..6), garbage in vec(any::<u8>(), 0..4), size in 1..50_usize
        ) {
            let stream = [stream(&contents), garbage].concat();
            let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
                let (mut inbox, mut frames) = (Inbox::default(), Vec::new());
                let mut ends = Ok(());
                for piece in pieces {
                    ends = inbox.take(&V1, MOST, piece, &mut |frame| frames.push(frame));
                    if ends.is_err() {
                        break;
                    }
                }
                (frames, ends)
            };
            let whole = read(&mut std::iter::once(stream.as_slice()));
            prop_assert!(whole.0.len() >= contents.len());
            prop_assert_eq!(read(&mut stream.chunks(size)), whole);
        }
    }
}
