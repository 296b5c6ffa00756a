//! The feed where there is more than one server, or one that is guarded.

use super::server::{STREAM, Server, becomes, follow, publish, settings, target};
use super::{listen, revoked, until_async};
use crate::config::{self, Feed};
use crate::pop::Denial;
use crate::state::revocation::FeedStatus;
use crate::state::revocation::event::Fact;
use crate::state::revocation::feed::redis;
use crate::state::revocation::tests::{Directory, admits, config, event, free_port, ready, start, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;

async fn replica_of(master: &Server) -> Server {
    let replica = Server::running().await;
    replica.tell::<()>(&format!("REPLICAOF 127.0.0.1 {}", master.port)).await;
    in_step(&replica).await;
    replica
}

async fn in_step(replica: &Server) {
    until_async("the replica to be in step", async || {
        replica.tell::<String>("INFO replication").await.contains("master_link_status:up")
    })
    .await;
}

#[tokio::test]
async fn a_replica_is_not_believed_until_it_is_the_master() {
    let (log, _guard) = listen();
    let master = Server::running().await;
    let replica = replica_of(&master).await;
    let revocations = start(&settings(&replica.url())).unwrap();
    until("the trouble", || log.text().contains("is a replica")).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    replica.tell::<()>("REPLICAOF NO ONE").await;
    ready(&revocations).await;
}

/// The promoted one lacks the last event, and gives ids that are lower than one that was read.
#[tokio::test]
async fn a_failover_by_sentinel_is_followed_and_everything_read_again() {
    let mut master = Server::running().await;
    master.publish("early").await;
    let replica = replica_of(&master).await;
    let sentinel = Server::sentinel(&master).await;
    until_async("the Sentinel to know the replica", async || {
        let known: Vec<::redis::Value> = sentinel.tell("SENTINEL REPLICAS clinch").await;
        known.len() == 1
    })
    .await;
    let url = format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{}/clinch", sentinel.port);
    let revocations = follow(&url).await;
    publish(&url, "on both").await.unwrap();
    revoked(&revocations, "on both").await;
    until_async("the replica to have it", async || replica.tell::<i64>(&format!("XLEN {STREAM}")).await == 2)
        .await;
    // From here on the replica gets nothing more: what is published now dies with the master.
    let mut at_once = ::redis::pipe();
    at_once.atomic();
    at_once.cmd("CONFIG").arg("SET").arg("requirepass").arg("s3cret").ignore();
    at_once.cmd("CLIENT").arg("KILL").arg("TYPE").arg("replica").ignore();
    let lost = event(Fact::TokenId, "lost").to_json();
    at_once.cmd("XADD").arg(STREAM).arg("9999999999999-0").arg("event").arg(lost).ignore();
    at_once.exec_async(&mut master.raw().await).await.unwrap();
    revoked(&revocations, "lost").await;
    master.kill();
    until_async("the replica to be promoted", async || {
        let told = replica.try_tell::<String>("INFO replication").await;
        told.is_ok_and(|told| told.contains("role:master"))
    })
    .await;
    becomes(&revocations, FeedStatus::Current).await;
    publish(&url, "after").await.unwrap();
    revoked(&revocations, "after").await;
    assert_eq!(revocations.entries(), 4);
    assert_eq!(admits(&revocations, "lost"), Err(Denial::TokenRevoked), "what was read stays");
}

#[tokio::test]
async fn a_sentinel_that_knows_no_such_master_is_told() {
    let (log, _guard) = listen();
    let master = Server::running().await;
    let sentinel = Server::sentinel(&master).await;
    let url = format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port);
    let revocations = start(&settings(&url)).unwrap();
    until("the trouble", || log.text().contains("no Sentinel names a master for other")).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
}

#[tokio::test]
async fn the_node_of_a_cluster_that_has_the_stream_is_found() {
    let nodes = [
        Server::with(&["--cluster-enabled", "yes"]).await,
        Server::with(&["--cluster-enabled", "yes"]).await,
    ];
    nodes[0].tell::<()>("CLUSTER ADDSLOTSRANGE 0 8191").await;
    nodes[1].tell::<()>("CLUSTER ADDSLOTSRANGE 8192 16383").await;
    nodes[0].tell::<()>(&format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].port)).await;
    for node in &nodes {
        until_async("the cluster to be whole", async || {
            node.tell::<String>("CLUSTER INFO").await.contains("cluster_state:ok")
        })
        .await;
    }
    let slot: u16 = nodes[0].tell(&format!("CLUSTER KEYSLOT {STREAM}")).await;
    let owner = usize::from(slot > 8191);
    for node in &nodes {
        let url = format!("redis+cluster://127.0.0.1:1,127.0.0.1:{}", node.port);
        let revocations = follow(&url).await;
        let jti = format!("by way of {}", node.port);
        publish(&url, &jti).await.unwrap();
        revoked(&revocations, &jti).await;
        becomes(&revocations, FeedStatus::Current).await;
    }
    assert_eq!(nodes[owner].tell::<i64>(&format!("XLEN {STREAM}")).await, 2);
}

#[tokio::test]
async fn tls_and_a_user_who_may_do_nothing_else() {
    let (pki, directory) = (Pki::new(), Directory::new());
    let path = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let users = format!(
        "user default off\nuser reader on >r3ad ~{STREAM} -@all +xread +xinfo|stream +info\n\
         user writer on >wr1te ~{STREAM} -@all +xadd\n"
    );
    let port = free_port().to_string();
    let _server = Server::guarded(&[
        ("--port", "0"),
        ("--tls-port", &port),
        ("--tls-cert-file", &path("server.crt", &pki.server)),
        ("--tls-key-file", &path("server.key", &pki.key)),
        ("--tls-ca-cert-file", &path("ca.crt", &pki.ca)),
        ("--tls-auth-clients", "no"),
        ("--aclfile", &path("users.acl", &users)),
    ]);
    let url = |login: &str| format!("rediss://{login}@127.0.0.1:{port}");
    let trusting = |login: &str| config::Redis { ca: vec![pki.anchor.clone()], ..target(&url(login)) };
    let revocations = start(&config(Feed::Redis(trusting("reader:r3ad")))).unwrap();
    ready(&revocations).await;
    let text = event(Fact::TokenId, "t").to_json();
    redis::publish(&trusting("writer:wr1te"), &text).await.unwrap();
    revoked(&revocations, "t").await;

    let refusal = |error: anyhow::Error| format!("{error:#}");
    let wrong = refusal(redis::publish(&trusting("writer:wr0ng"), &text).await.unwrap_err());
    assert!(wrong.contains("Password authentication failed") && !wrong.contains("wr0ng"), "{wrong}");
    let may_not = refusal(redis::publish(&trusting("reader:r3ad"), &text).await.unwrap_err());
    assert!(may_not.contains("no permissions"), "{may_not}");
    let stranger = refusal(redis::publish(&target(&url("writer:wr1te")), &text).await.unwrap_err());
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
}

/// A certificate for the loopback address, and who made it.
struct Pki {
    anchor: CertificateDer<'static>,
    ca: String,
    server: String,
    key: String,
}

impl Pki {
    fn new() -> Pki {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap().pem();
        Pki { anchor: ca.der().clone(), ca: ca.pem(), server, key: key.serialize_pem() }
    }
}
