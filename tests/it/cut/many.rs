//! Many at once: one of a thousand, and requests that come while the event does.

use super::{Scene, reset};
use crate::support::eventually;
use crate::support::wire::get;
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::io::AsyncReadExt;

/// Of a thousand open streams one is revoked: it alone ends.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_streams_the_revoked_one_is_cut() {
    let scene = Scene::start().await;
    let mut clients = Vec::new();
    let mut bodies = Vec::new();
    for number in 0..1000 {
        // Not before: a connection without a request is closed after a while.
        if number % 200 == 0 {
            clients.push(scene.front.caller(None).connect_h2().await);
        }
        let token = scene.token();
        let client = &mut clients[number / 200];
        bodies.push((scene.open_h2(client, "/silent", &token).await.into_body(), token));
    }
    for (body, _) in &mut bodies {
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(scene.service.open(), 1000);
    let (mut body, token) = bodies.swap_remove(517);
    let published = scene.revoke_token(&token).await;
    assert_eq!(reset(&mut body).await, h2::Reason::INTERNAL_ERROR);
    println!("one of a thousand, from publication to the end of the stream: {:.1?}", published.elapsed());
    eventually("the service's side to end", async || (scene.service.open() == 999).then_some(())).await;
    for (body, _) in &mut bodies {
        let more = tokio::time::timeout(std::time::Duration::ZERO, body.frame()).await;
        assert!(more.is_err(), "another stream ended: {more:?}");
    }
    assert_eq!(scene.cuts("revoked").await, 1);
}

/// RV-039: requests that come in a loop while the event does. Each one that began before is answered or cut; none is
/// answered that began after clinch has applied the event; and none stays open.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_slips_between_the_check_and_the_cut() {
    let scene = Scene::start().await;
    for round in 0..5 {
        let token = scene.token();
        let applied = AtomicBool::new(false);
        let rush = async {
            let mut opened = 0;
            loop {
                let after = applied.load(Ordering::SeqCst);
                let fields = scene.fields("/silent", &token);
                let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
                let mut stream = scene.front.caller(None).connect().await;
                tokio::io::AsyncWriteExt::write_all(&mut stream, get("/silent", &fields).as_bytes())
                    .await
                    .unwrap();
                let mut head = [0; 12];
                if stream.read_exact(&mut head).await.is_err() {
                    continue; // cut before a byte of the answer was out
                }
                match &head {
                    b"HTTP/1.1 200" => assert!(!after, "round {round}: answered after {opened}"),
                    b"HTTP/1.1 401" if after => return opened,
                    b"HTTP/1.1 401" => {}
                    other => panic!("{}", String::from_utf8_lossy(other)),
                }
                opened += 1;
                // Left open: it is the judge that must find it.
                tokio::spawn(async move {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                });
            }
        };
        let counted = async || scene.metric("clinch_revocation_events_total{result=\"applied\"}").await;
        let revoked = async {
            let before = counted().await;
            tokio::time::sleep(std::time::Duration::from_millis(30 + 7 * round)).await;
            scene.revoke_token(&token).await;
            eventually("the event to be applied", async || (counted().await > before).then_some(())).await;
            applied.store(true, Ordering::SeqCst);
            Instant::now()
        };
        let (opened, since) = tokio::join!(rush, revoked);
        assert!(opened > 0);
        scene.service_is_rid_of_all().await;
        println!("round {round}: {opened} requests, all ended {:.1?} after the event", since.elapsed());
    }
}
