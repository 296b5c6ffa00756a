//! Somebody who revokes one token after the other, and asks the replica when it has each.

use super::crowd::Person;
use crate::support::front::Front;
use crate::support::proof::{now, unique};
use crate::support::wire::plain_get;
use crate::support::{PATIENCE, eventually};
use clinch::state::revocation::feed::publish::Publisher;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::task::JoinHandle;

/// At work until it is told to end.
pub struct Revoker {
    work: Arc<Work>,
    tasks: [JoinHandle<()>; 2],
}

struct Work {
    feed: Mutex<Publisher>,
    /// Held from before an event is published until the feed has confirmed it.
    publishing: Arc<tokio::sync::Mutex<()>>,
    over: AtomicBool,
    published: AtomicUsize,
    known: AtomicUsize,
}

type OnItsWay = (Arc<Person>, String);

impl Revoker {
    /// Revokes these, as long as there are any, on the feed of this URL.
    pub fn start(
        front: &Front,
        victims: impl Iterator<Item = Arc<Person>> + Send + 'static,
        feed: &str,
    ) -> Revoker {
        let work = Arc::new(Work {
            feed: Mutex::new(Publisher::of_url(feed).unwrap()),
            publishing: Arc::default(),
            over: AtomicBool::new(false),
            published: AtomicUsize::new(0),
            known: AtomicUsize::new(0),
        });
        let (on_its_way, arrivals) = mpsc::unbounded_channel();
        let publish = publish(Arc::clone(&work), victims, front.issuer.name.clone(), on_its_way);
        let watch = watch(Arc::clone(&work), front.clinch.admin, arrivals);
        Revoker { work, tasks: [tokio::spawn(publish), tokio::spawn(watch)] }
    }

    /// How many events the feed has confirmed.
    pub fn published(&self) -> usize {
        self.work.published.load(SeqCst)
    }

    /// How many of them the replica says it has applied.
    pub fn known(&self) -> usize {
        self.work.known.load(SeqCst)
    }

    /// Until the guard is dropped nothing is published; and everything that was, the replica has.
    pub async fn pause(&self) -> OwnedMutexGuard<()> {
        let guard = Arc::clone(&self.work.publishing).lock_owned().await;
        let all = async || (self.known() == self.published()).then_some(());
        eventually("the replica to have everything", all).await;
        guard
    }

    /// The feed is elsewhere now.
    pub fn publishes_to(&self, feed: &str) {
        *self.work.feed.lock().unwrap() = Publisher::of_url(feed).unwrap();
    }

    /// Ends when the replica has everything; how many were published, how many are known.
    pub async fn end(self) -> (usize, usize) {
        self.work.over.store(true, SeqCst);
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("every event arrives").unwrap();
        }
        (self.work.published.load(SeqCst), self.work.known.load(SeqCst))
    }
}

async fn publish(
    work: Arc<Work>,
    mut victims: impl Iterator<Item = Arc<Person>> + Send,
    issuer: String,
    on_its_way: mpsc::UnboundedSender<OnItsWay>,
) {
    for name in ["jti", "sub", "sid", "jkt"].into_iter().cycle() {
        if work.over.load(SeqCst) {
            return;
        }
        let publishing = work.publishing.lock().await;
        let victim = victims.next().expect("somebody is left to be revoked");
        let id = unique();
        let event = json!({ "id": id, "iss": issuer, "revoke": { name: victim.names[name] }, "at": now() });
        // As whoever revokes would: again and again, until the feed says that it has it.
        loop {
            let feed = work.feed.lock().unwrap().clone();
            if feed.publish(&id, &event.to_string()).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        work.published.fetch_add(1, SeqCst);
        on_its_way.send((victim, id)).unwrap();
        drop(publishing);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks about one after the other: a stream has an order.
async fn watch(work: Arc<Work>, admin: SocketAddr, mut arrivals: mpsc::UnboundedReceiver<OnItsWay>) {
    while let Some((victim, id)) = arrivals.recv().await {
        let path = format!("/revocations?id={id}");
        let asked = Instant::now();
        while !is_applied(admin, &path).await {
            assert!(asked.elapsed() < PATIENCE, "event {id} is lost");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        victim.is_known();
        work.known.fetch_add(1, SeqCst);
    }
}

async fn is_applied(admin: SocketAddr, path: &str) -> bool {
    let Some(answer) = plain_get(admin, path).await else { return false };
    let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    told["result"] == "applied"
}

const PAUSE: Duration = Duration::from_millis(15);
