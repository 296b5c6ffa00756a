//! The load: many who use their tokens all the time, over connections that stay open, and what becomes of it.

use crate::support::front::Front;
use crate::support::oauth_client::HOST;
use crate::support::proof::{Proof, ProofKey, now, unique};
use crate::support::wire::Caller;
use crate::support::world::url;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// The holder of one token, who has sessions and subjects for himself.
pub struct Person {
    /// What an event may name: `jti`, `sub`, `sid` and, where the token is bound to a key, `jkt`.
    pub names: Value,
    token: String,
    /// For proofs; who has none shows the certificate.
    key: Option<ProofKey>,
    stage: AtomicU8,
}

/// Nobody has revoked it.
const FREE: u8 = 0;
/// An event may be on its way.
const DOOMED: u8 = 1;
/// The replica says that it has the event.
const KNOWN: u8 = 2;

impl Person {
    fn new(front: &Front, key: Option<ProofKey>) -> Person {
        let (jti, sub, sid) = (unique(), unique(), unique());
        let mut names = json!({ "jti": jti, "sub": sub, "sid": sid });
        let cnf = match &key {
            Some(key) => json!({ "jkt": key.thumbprint() }),
            None => json!({ "x5t#S256": front.pki.client.thumbprint() }),
        };
        let mut claims = names.clone();
        claims["exp"] = json!(now() + 600);
        claims["cnf"] = cnf.clone();
        if key.is_some() {
            names["jkt"] = cnf["jkt"].clone();
        }
        Person { names, token: front.token(&claims), key, stage: AtomicU8::new(FREE) }
    }

    /// When the replica has said so.
    pub fn is_known(&self) {
        self.stage.store(KNOWN, SeqCst);
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let request = Request::get("/a").header("host", HOST);
        let request = match &self.key {
            None => request.header("authorization", format!("Bearer {}", self.token)),
            Some(key) => request
                .header("authorization", format!("DPoP {}", self.token))
                .header("dpop", Proof::new(key, "GET", &url("/a"), &self.token).sign(key)),
        };
        request.body(Empty::new()).unwrap()
    }
}

/// Everybody, at work until they are dispersed.
pub struct Crowd {
    people: Arc<Vec<Arc<Person>>>,
    seen: Arc<Seen>,
    since: Instant,
    workers: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// Odd while something is wrong on purpose.
    trouble: AtomicUsize,
    doomed: AtomicUsize,
    requests: AtomicUsize,
    admitted: AtomicUsize,
    revoked: AtomicUsize,
    stale: AtomicUsize,
    stale_in_calm: AtomicUsize,
    faults: Mutex<Vec<String>>,
}

impl Crowd {
    /// Every other one may become a victim; of four victims one has a token that is bound to a key.
    pub fn gather(front: &Front) -> Crowd {
        let key = |n: usize| (n % 8 == 6).then(|| ProofKey::of("EdDSA"));
        let people: Vec<_> = (0..PEOPLE).map(|n| Arc::new(Person::new(front, key(n)))).collect();
        let (people, seen) = (Arc::new(people), Arc::<Seen>::default());
        let mut workers = JoinSet::new();
        for number in 0..CONNECTIONS {
            let caller = front.caller(Some(&front.pki.client));
            workers.spawn(work(number, caller, Arc::clone(&people), Arc::clone(&seen)));
        }
        Crowd { people, seen, since: Instant::now(), workers }
    }

    /// Those who may be revoked, one after the other: whoever is taken from here counts as doomed.
    pub fn victims(&self) -> impl Iterator<Item = Arc<Person>> + Send + use<> {
        let (people, seen) = (Arc::clone(&self.people), Arc::clone(&self.seen));
        (0..PEOPLE / 2).map(move |number| {
            people[2 * number].stage.store(DOOMED, SeqCst);
            seen.doomed.store(number + 1, SeqCst);
            Arc::clone(&people[2 * number])
        })
    }

    /// Whether 503 is no surprise from now on.
    pub fn expects_trouble(&self, trouble: bool) {
        let before = self.seen.trouble.load(SeqCst);
        assert_ne!(before % 2 == 1, trouble);
        self.seen.trouble.store(before + 1, SeqCst);
    }

    /// Ends the load. Everybody asks once more: now it is certain who is admitted and who is not.
    pub async fn disperse(mut self, front: &Front) -> Summary {
        let took = self.since.elapsed();
        self.seen.over.store(true, SeqCst);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        let requests = self.seen.requests.load(SeqCst);
        let caller = front.caller(Some(&front.pki.client));
        let mut connection = connect(&caller).await;
        for person in self.people.iter() {
            let expected = if person.stage.load(SeqCst) == FREE { 200 } else { 401 };
            let answer = send(&mut connection, person.request()).await.expect("an answer");
            assert_eq!(answer.0, expected, "in the end: {}", answer.1);
        }
        let count = |counter: &AtomicUsize| counter.load(SeqCst);
        Summary {
            requests,
            took,
            admitted: count(&self.seen.admitted),
            revoked: count(&self.seen.revoked),
            stale_503: count(&self.seen.stale),
            calm_503: count(&self.seen.stale_in_calm),
            faults: std::mem::take(&mut self.seen.faults.lock().unwrap()),
        }
    }
}

/// What became of all requests.
pub struct Summary {
    requests: usize,
    took: Duration,
    admitted: usize,
    revoked: usize,
    stale_503: usize,
    /// Of these, those at a time when nothing was wrong on purpose.
    pub calm_503: usize,
    faults: Vec<String>,
}

impl Summary {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Panics with the first ones.
    pub fn assert_no_fault(&self) {
        let first: Vec<&String> = self.faults.iter().take(5).collect();
        assert!(self.faults.is_empty(), "{} of {}: {first:#?}", self.faults.len(), self.requests);
        assert!(self.admitted > 0 && self.revoked > 0 && self.stale_503 > 0, "{self}");
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { requests, took, admitted, revoked, stale_503, .. } = self;
        let rate = self.rate();
        write!(
            f,
            "{requests} requests in {took:.1?}, {rate:.0} a second: {admitted} admitted, {revoked} revoked, {stale_503} stale"
        )
    }
}

/// One connection: half of its requests are of those whose turn it is to be revoked, where the races are.
async fn work(number: usize, caller: Caller, people: Arc<Vec<Arc<Person>>>, seen: Arc<Seen>) {
    let mut pace = tokio::time::interval(Duration::from_secs(1) * CONNECTIONS as u32 / WANTED);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connection = connect(&caller).await;
    let mut turn = number;
    while !seen.over.load(SeqCst) {
        pace.tick().await;
        turn += 1;
        let at = match turn % 2 {
            0 => 2 * seen.doomed.load(SeqCst) + PEOPLE - 6 + turn / 2 % 10,
            _ => 7919 * turn,
        };
        let person = &people[at % PEOPLE];
        let (stage, trouble) = (person.stage.load(SeqCst), seen.trouble.load(SeqCst));
        let answer = send(&mut connection, person.request()).await;
        let was_calm = trouble % 2 == 0 && seen.trouble.load(SeqCst) == trouble;
        seen.judge(stage, person.stage.load(SeqCst), answer.as_ref(), was_calm);
        if answer.is_none() || connection.is_closed() {
            connection = connect(&caller).await;
        }
    }
}

impl Seen {
    /// `before` and `after`: how it stood with the token when the request began and when the answer was there.
    fn judge(&self, before: u8, after: u8, answer: Option<&(u16, String)>, was_calm: bool) {
        self.requests.fetch_add(1, SeqCst);
        let is_right = match answer {
            Some((200, _)) => {
                self.admitted.fetch_add(1, SeqCst);
                before != KNOWN
            }
            Some((401, why)) if why.contains("token_revoked") => {
                self.revoked.fetch_add(1, SeqCst);
                after != FREE
            }
            Some((503, why)) if why.contains("revocations_stale") => {
                self.stale.fetch_add(1, SeqCst);
                self.stale_in_calm.fetch_add(usize::from(was_calm), SeqCst);
                true
            }
            // The event came while the answer was on its way: it is cut.
            None => after != FREE && before != KNOWN,
            Some(_) => false,
        };
        if !is_right {
            self.faults.lock().unwrap().push(format!("{before} then {after}: {answer:?}"));
        }
    }
}

async fn connect(caller: &Caller) -> SendRequest<Empty<Bytes>> {
    let io = TokioIo::new(caller.connect().await);
    let (client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Status and body; `None` if the connection ends before them.
async fn send(
    connection: &mut SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Option<(u16, String)> {
    connection.ready().await.ok()?;
    let response = connection.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

const PEOPLE: usize = 1600;
const CONNECTIONS: usize = 16;
/// Requests a second in total, if the machine can.
const WANTED: u32 = 2000;
