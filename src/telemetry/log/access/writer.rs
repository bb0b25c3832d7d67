//! The far side: one thread that writes buffers as they come and gives them back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use super::super::output::Sink;
use super::lines::emptied;
use super::queue::{Chunk, Counters, Message};

pub(super) struct Writer {
    messages: Receiver<Message>,
    sink: Sink,
    counters: Arc<Counters>,
}

impl Writer {
    pub(super) fn new(messages: Receiver<Message>, sink: Sink, counters: Arc<Counters>) -> Self {
        Self {
            messages,
            sink,
            counters,
        }
    }

    /// Writes until the log is closed, or until nobody is left who could send lines.
    pub(super) fn run(mut self) {
        loop {
            match self.next() {
                Ok(Message::Lines(chunk)) => self.write(chunk),
                Ok(Message::Reopen) => self.reopen(),
                Ok(Message::Close(done)) => {
                    drop(self);
                    // Whoever asked may have stopped waiting.
                    let _gone = done.try_send(());
                    return;
                }
                Ok(Message::Ended) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.sink.roll_if_due() {
                        self.counters
                            .count_failed(0, format!("cannot roll: {error}"));
                    }
                }
            }
        }
    }

    fn next(&self) -> Result<Message, RecvTimeoutError> {
        match self.sink.until_due() {
            Some(patience) => self.messages.recv_timeout(patience),
            None => Ok(self.messages.recv()?),
        }
    }

    fn write(&mut self, chunk: Chunk) {
        if let Err(lost) = self.sink.write(&chunk.batch) {
            self.counters
                .count_failed(lost.lines, lost.error.to_string());
        }
        // Only now: what is being written waits, too.
        self.counters.taken(&chunk);
        if let Some(batch) = emptied(chunk.batch) {
            // The worker may have gone, or have enough.
            let _surplus = chunk.home.try_send(batch);
        }
    }

    fn reopen(&mut self) {
        self.counters.reopened();
        if let Err(error) = self.sink.reopen() {
            self.counters
                .count_failed(0, format!("cannot reopen: {error}"));
        }
    }
}
