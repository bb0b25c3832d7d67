//! Memory that is between two uses: buffers, and the heads of requests and responses.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use crate::protocol::http1::{Request, Response};

/// So many of a kind are kept for each thread.
const KEPT: usize = 64;

/// What has grown beyond this is freed: a large head now and then must not hold memory.
const LARGEST: usize = 16 * 1024;

/// The boxes of one kind that wait for their next use.
pub(super) type Shelf<T> = RefCell<Vec<Lain<T>>>;

/// Boxed, since a head is large and changes hands often.
pub(super) struct Lain<T>(Box<T>);

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static REQUESTS: Shelf<Request> = const { RefCell::new(Vec::new()) };
    static RESPONSES: Shelf<Response> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, most often one that was used before.
pub(super) fn take() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a buffer back for the next use.
pub(super) fn give(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > LARGEST {
        return;
    }
    buffer.clear();
    BUFFERS.with_borrow_mut(|spare| {
        if spare.len() < KEPT {
            spare.push(buffer);
        }
    });
}

/// What can be parsed into again.
pub(super) trait Head: Default + 'static {
    /// Where those of its kind wait.
    fn shelf() -> &'static LocalKey<Shelf<Self>>;

    /// Bytes of the head that it was parsed from last.
    fn bytes(&self) -> usize;
}

impl Head for Request {
    fn shelf() -> &'static LocalKey<Shelf<Self>> {
        &REQUESTS
    }

    fn bytes(&self) -> usize {
        self.head_bytes()
    }
}

impl Head for Response {
    fn shelf() -> &'static LocalKey<Shelf<Self>> {
        &RESPONSES
    }

    fn bytes(&self) -> usize {
        self.head_bytes()
    }
}

/// A head in use; its memory serves the next one once this is dropped.
pub(super) struct Lent<T: Head>(Option<Box<T>>);

impl<T: Head> Lent<T> {
    /// One to parse into, most often with the memory of one that is over.
    pub(super) fn new() -> Self {
        let lain = T::shelf().with_borrow_mut(Vec::pop);
        Self(Some(lain.map(|lain| lain.0).unwrap_or_default()))
    }
}

impl<T: Head> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is given back when dropped")
    }
}

impl<T: Head> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is given back when dropped")
    }
}

impl<T: Head> Drop for Lent<T> {
    fn drop(&mut self) {
        let Some(head) = self.0.take().filter(|head| head.bytes() <= LARGEST) else {
            return;
        };
        T::shelf().with_borrow_mut(|shelf| {
            if shelf.len() < KEPT {
                shelf.push(Lain(head));
            }
        });
    }
}
