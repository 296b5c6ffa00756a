//! One direction of a tunnel: a buffer, and where in a frame it is.

use super::super::websocket::Frames;
use super::Side;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

/// One direction.
pub(super) struct Way {
    buffer: Box<[u8]>,
    /// What of it is to be written.
    from: usize,
    to: usize,
    /// There is something to flush.
    dirty: bool,
    /// The sender has ended.
    pub(super) ended: bool,
    /// The receiver has been told so.
    told: bool,
    pub(super) moved: Instant,
    pub(super) frames: Frames,
    /// What is written by itself after the rest of what there is, in bytes.
    last: usize,
}

impl Way {
    pub(super) fn ending(last: usize) -> Way {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let (moved, frames) = (Instant::now(), Frames::new());
        Way { buffer, from: 0, to: 0, dirty: false, ended: false, told: false, moved, frames, last }
    }

    pub(super) fn waiting(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    /// What of so much is written at a time.
    fn piece(&self, of: usize) -> &[u8] {
        let length = of.checked_sub(self.last).filter(|before| *before > 0).unwrap_or(of);
        &self.buffer[self.from..self.from + length]
    }

    /// Passes on what there is; ready when the sender has ended and the receiver knows.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sender: &mut Side,
        receiver: &mut Side,
    ) -> Poll<io::Result<()>> {
        // A sender that is quicker than everybody else leaves them a turn.
        for _ in 0..TURN {
            while self.from < self.to {
                let bytes = self.piece(self.to - self.from);
                let written = ready!(Pin::new(&mut *receiver).poll_write(cx, bytes))?;
                self.wrote(written)?;
            }
            if self.ended {
                if !self.told {
                    ready!(Pin::new(&mut *receiver).poll_shutdown(cx))?;
                    self.told = true;
                }
                return Poll::Ready(Ok(()));
            }
            if self.poll_read(cx, sender)?.is_pending() {
                if self.dirty && Pin::new(&mut *receiver).poll_flush(cx)?.is_ready() {
                    self.dirty = false;
                }
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, sender: &mut Side) -> Poll<io::Result<()>> {
        let mut room = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(sender).poll_read(cx, &mut room))?;
        (self.from, self.to) = (0, room.filled().len());
        self.ended = self.to == 0;
        self.moved = Instant::now();
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.frames.advance(&self.buffer[self.from..self.from + written]);
        self.from += written;
        (self.dirty, self.moved) = (true, Instant::now());
        Ok(())
    }

    /// Passes on what belongs to the frame that has begun, and no byte more.
    pub(super) async fn finish_frame(&mut self, sender: &mut Side, receiver: &mut Side) -> io::Result<()> {
        while !self.frames.at_boundary() {
            let rest = self.frames.rest_in(self.waiting());
            if rest == 0 {
                poll_fn(|cx| self.poll_read(cx, sender)).await?;
                if self.ended {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            let written = receiver.write(self.piece(rest)).await?;
            self.wrote(written)?;
        }
        receiver.flush().await
    }
}

/// What one direction holds, in bytes.
const BUFFER: usize = 16 * 1024;
/// How often a direction passes its buffer on before it is the others' turn.
const TURN: usize = 16;
