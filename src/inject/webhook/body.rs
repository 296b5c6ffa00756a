//! A body, as it comes: memory is taken for what has arrived, never for what was announced, and first from its address's
//! share. So whoever announces much and sends nothing has nothing, and whoever sends much has no more than the share (WH-014).

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::Semaphore;

/// A body, and the room that it takes until it is dropped.
pub(super) struct Read<'a> {
    pub(super) body: Bytes,
    _room: Room<'a>,
}

/// Why there is none.
pub(super) enum Unread {
    /// It is larger than `MOST`, or says that it will be.
    TooLarge,
    /// The connection ended, or its framing is broken.
    BrokenOff,
}

/// Reads to the end. `rooms` are its address's and everybody's: it waits where there is none, so bound the time of this.
pub(super) async fn read(rooms: [&Semaphore; 2], mut body: Incoming) -> Result<Read<'_>, Unread> {
    if body.size_hint().lower() > MOST as u64 {
        return Err(Unread::TooLarge);
    }
    let (mut room, mut text) = (Room { rooms, taken: [0; 2] }, BytesMut::new());
    while let Some(frame) = body.frame().await {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(|_| Unread::BrokenOff)?.into_data() else { continue };
        if text.len() + data.len() > MOST {
            return Err(Unread::TooLarge);
        }
        room.take(data.len()).await?;
        text.extend_from_slice(&data);
    }
    Ok(Read { body: text.freeze(), _room: room })
}

/// What was taken of each room, given back when it is dropped.
struct Room<'a> {
    rooms: [&'a Semaphore; 2],
    taken: [usize; 2],
}

impl Room<'_> {
    async fn take(&mut self, bytes: usize) -> Result<(), Unread> {
        let permits = u32::try_from(bytes).map_err(|_| Unread::TooLarge)?;
        for (room, taken) in self.rooms.iter().zip(&mut self.taken) {
            // They never close.
            room.acquire_many(permits).await.map_err(|_| Unread::BrokenOff)?.forget();
            *taken += bytes;
        }
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        for (room, taken) in self.rooms.iter().zip(self.taken) {
            room.add_permits(taken);
        }
    }
}

/// An update carries the pod as it was and as it will be, each of which the API server bounds by 3 MiB; and a margin. An
/// address may hold as much at a time.
pub(super) const MOST: usize = 8 << 20;
/// As many bodies as are held at a time, in bytes. A tree of JSON takes several times as much.
pub(super) const MOST_HELD: usize = 3 * MOST;
