//! Revocation while requests come and the bus fails: what a replica says it has, it refuses from then on; no event is
//! lost; nobody else is refused, but for 503 while the feed is stale; and it recovers by itself.

#![allow(clippy::print_stdout, reason = "the figures of each run")]

mod crowd;
mod revoker;

use crate::support::eventually;
use crate::support::front::Front;
use crate::support::link::Link;
use crate::support::nats::{Nats, STREAM, SUBJECT};
use crate::support::redis::Redis;
use crate::support::wire::plain_get;
use bytes::Bytes;
use crowd::Crowd;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use revoker::Revoker;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// RV-028, RV-039: the server crashes, the connection is cut, the stream is deleted and made anew.
#[tokio::test(flavor = "multi_thread")]
async fn over_nats_nothing_revoked_passes_and_nothing_is_lost() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nats = Nats::start().await;
    let mut link = Link::to(nats.port()).await;
    let url = format!("nats://127.0.0.1:{}", link.port);
    let feed = format!("kind: nats, url: '{url}', stream: {STREAM}, subject: '{SUBJECT}'");
    let scene = Scene::start(&feed, &nats.url()).await;
    scene.calm().await;

    scene.crowd.expects_trouble(true);
    nats.kill();
    scene.front.clinch.becomes_unready().await;
    nats.restart().await;
    scene.recovers().await;

    scene.is_cut_off(&mut link).await;

    // What a deleted stream had and nobody had read is gone for good: here everybody had read it.
    let nothing_on_its_way = scene.revoker.pause().await;
    scene.crowd.expects_trouble(true);
    nats.delete_stream().await;
    drop(nothing_on_its_way);
    tokio::time::sleep(Duration::from_millis(500)).await;
    nats.make_stream().await;
    scene.recovers().await;

    scene.ends("NATS", 1).await;
}

/// RV-028, RV-039: the server crashes, the connection is cut, a replica is promoted in the server's place.
#[tokio::test(flavor = "multi_thread")]
async fn over_redis_nothing_revoked_passes_and_nothing_is_lost() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut master = Redis::start_durable().await;
    let mut link = Link::to(master.port()).await;
    let feed = format!("kind: redis, url: 'redis://127.0.0.1:{}', stream: revoked", link.port);
    let scene = Scene::start(&feed, &of_redis(&master)).await;
    scene.calm().await;

    scene.crowd.expects_trouble(true);
    master.kill();
    scene.front.clinch.becomes_unready().await;
    master.restart().await;
    scene.recovers().await;

    scene.is_cut_off(&mut link).await;

    // What only the old master had dies with it: here the replica has all of it.
    let replica = master.start_replica().await;
    let nothing_on_its_way = scene.revoker.pause().await;
    let had: i64 = master.ask("XLEN revoked").await;
    let copied = async || (replica.ask::<i64>("XLEN revoked").await == had).then_some(());
    eventually("the replica to have the stream", copied).await;
    scene.crowd.expects_trouble(true);
    master.kill();
    link.cut().await;
    drop(nothing_on_its_way);
    replica.ask::<()>("REPLICAOF NO ONE").await;
    scene.revoker.publishes_to(&of_redis(&replica));
    link.lead_to(replica.port());
    link.heal().await;
    scene.recovers().await;

    scene.ends("Redis", 1).await;
}

fn of_redis(server: &Redis) -> String {
    format!("{}?stream=revoked", server.url())
}

/// clinch under load, and somebody who revokes.
struct Scene {
    front: Front,
    crowd: Crowd,
    revoker: Revoker,
}

impl Scene {
    async fn start(feed: &str, published_to: &str) -> Scene {
        let origins = "  public_origins: ['https://api.example.com']";
        let routes = format!(
            "  - {{ path: '/{{*rest}}', proof: [dpop, mtls] }}
revocation:
  accept_plain: true
  max_staleness: 5s
  feed: {{ {feed} }}"
        );
        let front = Front::before_service(service().await, origins, &routes).await;
        let crowd = Crowd::gather(&front);
        let revoker = Revoker::start(&front, crowd.victims(), published_to);
        Scene { front, crowd, revoker }
    }

    async fn calm(&self) {
        tokio::time::sleep(CALM).await;
    }

    /// The connection ends, events pile up, and the connection is back before the feed is stale.
    async fn is_cut_off(&self, link: &mut Link) {
        self.crowd.expects_trouble(true);
        let before = self.revoker.published();
        link.cut().await;
        let more = async || (self.revoker.published() > before + 10).then_some(());
        eventually("events to pile up", more).await;
        assert!(self.revoker.known() < self.revoker.published(), "the cut has no effect");
        link.heal().await;
        self.recovers().await;
    }

    /// Without any help; then it is calm again.
    async fn recovers(&self) {
        let published = self.revoker.published();
        let further = async || (self.revoker.known() > published + 3).then_some(());
        eventually("later events to be applied", further).await;
        self.front.clinch.becomes_ready().await;
        self.crowd.expects_trouble(false);
        self.calm().await;
    }

    async fn ends(self, bus: &str, stale: u64) {
        let (published, known) = self.revoker.end().await;
        assert_eq!(published, known, "an event is lost");
        assert!(published > 40, "{published} events");
        let seen = self.crowd.disperse(&self.front).await;
        println!("{bus}: {published} revocations, {seen}");
        seen.assert_no_fault();
        // A debug build on a busy machine; a release build on two cores of its own does the wanted 2000.
        assert!(seen.rate() > 20.0, "no load: {seen}");
        let line = "clinch_feed_transitions_total{state=\"stale\"} ";
        let page = plain_get(self.front.clinch.admin, "/metrics").await.unwrap().body;
        let was_stale: u64 = page.lines().find_map(|l| l.strip_prefix(line)?.parse().ok()).unwrap_or(0);
        assert!(was_stale >= stale, "the crash did not show");
        assert!(seen.calm_503 == 0 || was_stale > stale, "503 although the feed was never stale: {seen}");
    }
}

/// A service that says 200 and remembers nothing.
async fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let yes =
                service_fn(async |_| Ok::<_, Infallible>(hyper::Response::new(Full::<Bytes>::default())));
            let builder = hyper::server::conn::http1::Builder::new();
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), yes));
        }
    });
    address
}

/// Two loads on one machine measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const CALM: Duration = Duration::from_millis(1500);
