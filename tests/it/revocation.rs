//! Revocation over a real NATS: a revoked token stops working everywhere, and an outage of the bus shows.

use crate::support::clinch::{Clinch, command, finish};
use crate::support::eventually;
use crate::support::proof::{Proof, claims};
use crate::support::temporary::Folder;
use crate::support::wire::plain_get;
use crate::support::world::{World, url};
use serde_json::Value;

const PATH: &str = "/accounts/1";

/// `clinch revoke` of one token, as an operator would type it.
async fn revoke(world: &World, token: &str) {
    let (feed, claims) = (world.nats().url(), claims(token));
    let (jti, issuer) = (claims["jti"].as_str().unwrap(), claims["iss"].as_str().unwrap());
    let arguments = ["revoke", "--feed", &feed, "--jti", jti, "--issuer", issuer];
    let output = finish(command().args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stops_working() {
    let mut world = World::with_nats().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let (spared, spared_key) = world.dpop_token("accounts.read").await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);

    revoke(&world, &token).await;
    let refusal = eventually("the revoked token to be refused", async || {
        Some(world.get_as_owner(PATH, &token, &key).await).filter(|answer| answer.status != 200)
    });
    let refusal = refusal.await;
    assert_eq!(refusal.status, 401, "{refusal:?}");
    assert!(refusal.all("www-authenticate")[0].starts_with(r#"DPoP error="invalid_token""#), "{refusal:?}");
    assert_eq!(world.get_as_owner(PATH, &spared, &spared_key).await.status, 200);

    // A new replica is not ready before it knows what was revoked: its first answer is a refusal.
    world.replace_clinch().await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 401);
    assert_eq!(world.get_as_owner(PATH, &spared, &spared_key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_bus_shows_and_heals() {
    let mut world = World::with_nats().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let (revoked, revoked_key) = world.dpop_token("accounts.read").await;
    revoke(&world, &revoked).await;

    world.nats.as_mut().unwrap().kill();
    let unready = world.clinch.becomes_unready().await;
    assert_eq!(unready.status, 503);
    assert!(unready.body.contains(r#""revocations":"stale""#), "{}", unready.body);
    // Fail closed, and not with a 401: the token is good, and asking for another would not help.
    let refusal = world.get_as_owner(PATH, &token, &key).await;
    assert_eq!(refusal.status, 503, "{refusal:?}");
    refusal.one("retry-after");
    assert!(refusal.all("www-authenticate").is_empty());

    world.nats.as_mut().unwrap().restart().await;
    world.clinch.becomes_ready().await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);
    assert_eq!(world.get_as_owner(PATH, &revoked, &revoked_key).await.status, 401);
    let (token, key) = world.dpop_token("accounts.read").await;
    revoke(&world, &token).await;
    let refused = async || (world.get_as_owner(PATH, &token, &key).await.status == 401).then_some(());
    eventually("a revocation after the outage to arrive", refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_may_begin_with_a_hyphen() {
    let folder = Folder::new();
    let feed = folder.at("journal");
    let arguments = ["revoke", "--jti", "-p6", "--issuer", "https://as.example.com", "--feed"];
    let output = finish(command().args(arguments).arg(&feed)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read_to_string(&feed).unwrap().contains(r#""jti":"-p6""#));
}

/// What a replica's admin port answers, in JSON.
async fn asked(replica: &Clinch, path: &str) -> (u16, Value) {
    let answer = plain_get(replica.admin, path).await.expect("the admin port answers");
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

/// RV-025, RV-027
#[tokio::test(flavor = "multi_thread")]
async fn every_replica_refuses_and_one_that_starts_later_does_before_it_is_ready() {
    let world = World::with_nats().await;
    let second = world.another_clinch().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let (jti, issuer) = (claims(&token)["jti"].clone(), claims(&token)["iss"].clone());
    let (jti, issuer) = (jti.as_str().unwrap(), issuer.as_str().unwrap());
    let admins = [world.clinch.admin, second.admin].map(|admin| format!("http://{admin}"));
    let (feed, wait) = (world.nats().url(), admins.join(","));
    let arguments = ["revoke", "--feed", &feed, "--jti", jti, "--issuer", issuer, "--wait", &wait, "--json"];
    let output = finish(command().args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // No more waiting: whoever was told that all have it relies on that.
    let used = || Proof::new(&key, "GET", &url(PATH), &token).sign(&key);
    for replica in [&world.clinch, &second] {
        assert_eq!(world.get_at(replica, PATH, &token, &used()).await.status, 401);
    }
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["sequence"], &told["applied_everywhere"]), (&1.into(), &true.into()));
    assert_eq!(told["replicas"][1]["replica"], admins[1].as_str());
    assert!(told["replicas"][1]["after_ms"].as_u64().is_some_and(|ms| ms < 10_000), "{told}");

    let third = world.another_clinch_unready().await;
    let mut answers = Vec::new();
    let ready = async || {
        answers.push(world.get_at(&third, PATH, &token, &used()).await.status);
        third.ready().await.filter(|answer| answer.status == 200)
    };
    eventually("the third replica to be ready", ready).await;
    answers.push(world.get_at(&third, PATH, &token, &used()).await.status);
    assert!(answers.iter().all(|status| [401, 503].contains(status)), "{answers:?}");
    assert_eq!(answers.last(), Some(&401));

    let id = told["id"].as_str().unwrap();
    let (status, seen) = asked(&second, &format!("/revocations?id={id}")).await;
    assert_eq!((status, &seen["result"], &seen["reason"]), (200, &"applied".into(), &Value::Null));
    assert_eq!(seen["place"], "sequence 1 of CLINCH_REVOCATIONS");
    let (_, seen) = asked(&third, &format!("/revocations?id={id}")).await;
    assert_eq!((&seen["result"], &seen["place"]), (&"applied".into(), &Value::Null), "from the backlog");
    assert_eq!(asked(&third, "/revocations?id=other").await.0, 404);
    let answer = world.get_as_owner("/revocations", &token, &key).await;
    assert_ne!(answer.status, 200, "not by the public listener");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_tells_its_operator_what_it_knows() {
    let world = World::with_nats().await;
    let admin = format!("http://{}", world.clinch.admin);
    let feed = world.nats().url();
    let run = async |arguments: &[&str]| {
        let output = finish(command().args(arguments)).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let issuer = world.server.issuer.clone();
    let alice = ["--issuer", &issuer, "--sub", "alice"];
    let search = [&["revocations", "--admin", &admin][..], &alice].concat();
    assert_eq!(run(&search).await, (0, "not revoked\n".to_owned(), String::new()));

    let at = ["--at", "2026-01-01T00:00:00Z", "--until", "2096-01-01T00:00:00Z"];
    let revoke = ["revoke", "--feed", &feed, "--wait", &admin];
    let (code, out, err) = run(&[&revoke[..], &alice, &at].concat()).await;
    assert_eq!((code, err.as_str()), (0, ""));
    let id = out.lines().find_map(|line| line.strip_prefix("event     ")?.split_once(", at ")).unwrap().0;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], format!("published sub \"alice\" of {issuer}"));
    assert_eq!(lines[1], "issued    until 2026-01-01T00:00:00Z");
    assert_eq!(lines[3], "feed      CLINCH_REVOCATIONS, sequence 1");
    assert!(lines[4].starts_with(&format!("replica   {admin} applied it at 20")), "{out}");
    assert!(lines[4].ends_with(" ms after publication") && lines.len() == 5, "{out}");
    let (code, out, _) = run(&search).await;
    let expected = format!(
        "revoked   sub \"alice\" of {issuer}\n\
         issued    until 2026-01-01T00:00:00.000Z\n\
         known     until 2096-01-01T00:00:00.000Z\n"
    );
    assert_eq!((code, out), (0, expected));
    let (code, out, _) = run(&["revocations", "--admin", &admin]).await;
    let listed = out.lines().nth(2).and_then(|line| line.split_once("  ")).unwrap().1;
    assert_eq!((code, listed), (0, format!("sub \"alice\" of {issuer}, event {id}").as_str()));

    // A replica without this issuer rejects it, and who waits is told.
    let stranger = ["--issuer", "https://stranger.example", "--sub", "alice"];
    let (code, out, err) = run(&[&revoke[..], &stranger].concat()).await;
    assert_eq!((code, err.as_str()), (1, "error: 0 of 1 replicas have applied it\n"));
    assert_eq!(out.lines().last(), Some(format!("replica   {admin} rejected it: issuer_unknown").as_str()));
    let (code, out, _) =
        run(&[&revoke[..4], &["http://127.0.0.1:1", "--timeout", "2s"], &alice].concat()).await;
    let last = out.lines().last().unwrap();
    assert!(
        code == 1 && last.starts_with("replica   http://127.0.0.1:1 gives no answer: Connection refused"),
        "{out}"
    );

    let applied = async || {
        let (_, status) = asked(&world.clinch, "/status").await;
        (status["events"]["applied"] == 2).then_some(status)
    };
    let status = eventually("the last event", applied).await;
    assert_eq!((&status["ready"], &status["feed"]["kind"]), (&true.into(), &"nats".into()));
    assert_eq!((&status["feed"]["state"], &status["feed"]["lag"]), (&"current".into(), &0.into()));
    assert_eq!(
        status["feed"]["position"], "sequence 4 of CLINCH_REVOCATIONS",
        "the third: what was kept aside"
    );
    assert_eq!(status["events"]["rejected"]["issuer_unknown"], 1);
    assert_eq!((&status["events"]["applied"], &status["entries"]), (&2.into(), &1.into()));
    assert_eq!(status["issuers"][0]["keys"], "current");
    let metrics = plain_get(world.clinch.admin, "/metrics").await.unwrap().body;
    for line in ["clinch_feed_lag_events 0\n", "clinch_feed_transitions_total{state=\"current\"} 1\n"] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
