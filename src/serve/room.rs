//! How many connections may be open: a number that a reload can change, and that a stop can wait for.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// One permit for each connection that may still be opened.
#[derive(Debug)]
pub(super) struct Room {
    permits: Arc<Semaphore>,
    size: Arc<Mutex<Size>>,
}

#[derive(Debug)]
struct Size {
    wanted: usize,
    /// Permits there are, those of open connections included: more than wanted while too many are open.
    there: usize,
}

impl Room {
    pub(super) fn new(connections: usize) -> Room {
        let connections = connections.min(MOST);
        let size = Arc::new(Mutex::new(Size { wanted: connections, there: connections }));
        Room { permits: Arc::new(Semaphore::new(connections)), size }
    }

    pub(super) fn permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.permits)
    }

    /// Room for so many from now on. Nobody is sent away: where more are open, their places go as they end. Needs a tokio
    /// runtime.
    pub(super) fn resize(&self, connections: usize) {
        let mut size = self.size.lock();
        size.wanted = connections.min(MOST);
        if size.there < size.wanted {
            self.permits.add_permits(size.wanted - size.there);
            size.there = size.wanted;
        } else {
            size.there -= self.permits.forget_permits(size.there - size.wanted);
            if size.there > size.wanted {
                tokio::spawn(shrink(Arc::clone(&self.permits), Arc::clone(&self.size)));
            }
        }
    }

    /// Returns when no connection is open, and never lets one in again.
    pub(super) async fn empty(&self) {
        let there = {
            let mut size = self.size.lock();
            // Whoever still takes places out of use stands before us and behind us, and takes none any more.
            size.wanted = usize::MAX;
            u32::try_from(size.there).unwrap_or(u32::MAX)
        };
        if let Ok(all) = self.permits.acquire_many(there).await {
            all.forget();
            self.size.lock().there = 0;
        }
    }
}

fn is_too_large(size: &Mutex<Size>) -> bool {
    let size = size.lock();
    size.there > size.wanted
}

/// Takes places out of use as they become free, before anybody new gets them, until there are as many as are wanted.
async fn shrink(permits: Arc<Semaphore>, size: Arc<Mutex<Size>>) {
    while is_too_large(&size) {
        let Ok(place) = Arc::clone(&permits).acquire_owned().await else { return };
        let mut size = size.lock();
        if size.there > size.wanted {
            size.there -= 1;
            place.forget();
        }
    }
}

/// A bound on the bound: tokio's semaphore has one too.
const MOST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_grows_and_shrinks_under_those_who_are_there() {
        let room = Room::new(2);
        let permits = room.permits();
        let first = Arc::clone(&permits).acquire_owned().await.expect("open");
        let second = Arc::clone(&permits).acquire_owned().await.expect("open");
        room.resize(3);
        assert_eq!(permits.available_permits(), 1);
        room.resize(1);
        assert_eq!(permits.available_permits(), 0);
        drop(first);
        while room.size.lock().there > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(permits.available_permits(), 0, "the second is still there");
        drop(second);
        assert_eq!(permits.available_permits(), 1);
        room.empty().await;
        assert_eq!(permits.available_permits(), 0);
        room.empty().await;
    }

    #[tokio::test(start_paused = true)]
    async fn room_that_is_shrinking_becomes_empty() {
        let room = Room::new(20);
        let mut open = Vec::new();
        for _ in 0..10 {
            open.push(room.permits().acquire_owned().await.expect("open"));
        }
        room.resize(4);
        room.resize(6);
        // It waits for the first that ends.
        tokio::task::yield_now().await;
        let all_go = async {
            tokio::task::yield_now().await;
            open.clear();
        };
        let emptied = async { tokio::join!(room.empty(), all_go) };
        tokio::time::timeout(std::time::Duration::from_secs(60), emptied).await.expect("nobody is there");
        assert_eq!(room.permits().available_permits(), 0);
    }
}
