//! RP: the same proof again, in whatever dress, at whatever time, however often at once.

use super::answers::Code::{A1, A9};
use super::case::{Call, Case, PATH, Who, granted, proof, refused};
use super::claims::on_the_second;
use super::forge::malleated;
use super::stage::{Counts, Stage, difference};
use crate::support::eventually;
use crate::support::proof::{Jwt, ProofKey, now, unique};
use crate::support::wire::h2_get;
use crate::support::world::url;
use tokio::task::JoinSet;

/// A call that is the same every time.
fn fixed(call: Call) -> impl Fn(&Stage) -> Call + Send + Sync + Clone + 'static {
    move |_: &Stage| call.clone()
}

fn first(id: &str, call: &Call) -> Case {
    granted(id, |_| true, fixed(call.clone()))
}

fn again(id: &str, call: &Call) -> Case {
    refused(id, A1, "proof_replayed", fixed(call.clone()))
}

/// DPOP-41
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_counts_once_in_any_dress() {
    let stage = Stage::start().await;
    let plain = stage.good(PATH);
    let token = stage.good_token();
    let jws = stage.good_proof(&token).sign(&stage.key);
    let dressed = Call::get(PATH).dpop(&token, &jws);
    let twin = Call::get(PATH).dpop(&token, &malleated(&jws));
    let renamed = Call::get(PATH).field("aUTHORIZATION", format!("dpop {token}")).field("dpop", &jws);
    let spelled = Call::get("/%6frders/7").dpop(&token, &jws);
    let query = Call::get("/orders/7?x=1").dpop(&token, &jws);
    stage.run(vec![first("RP-001", &plain), again("RP-001", &plain)]).await;
    stage.run(vec![first("RP-016", &dressed), again("RP-016", &twin), again("RP-016", &renamed)]).await;
    stage.run(vec![again("RP-017", &spelled), again("RP-017", &query)]).await;
    // One jti of one key counts once wherever it is shown: at another host, for another token, signed anew.
    let jti = unique();
    let at = |host: &'static str, token: &str| {
        let proof =
            Jwt::new(&stage.key, "GET", &format!("https://{host}{PATH}"), token).claim("jti", jti.as_str());
        Call::get(PATH).hosts(&[host]).dpop(token, &proof.sign(&stage.key))
    };
    let elsewhere = at("127.0.0.1", &token);
    let anew = at("api.example.com", &stage.good_token());
    stage
        .run(vec![
            first("RP-025", &at("api.example.com", &token)),
            again("RP-025", &elsewhere),
            again("RP-025", &anew),
        ])
        .await;
    stage.finish().await;
}

/// DPOP-41, FAPI-10
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_at_once_one_is_forwarded() {
    let stage = Stage::start().await;
    stage.clinch.becomes_ready().await;
    let before = stage.counts().await;
    let (call, mut race) = (stage.good(PATH), JoinSet::new());
    for _ in 0..100 {
        let (caller, bytes) = (stage.caller(Who::Nobody), call.bytes());
        race.spawn(async move {
            let mut stream = caller.connect().await;
            crate::support::wire::converse(&mut stream, &bytes, false).await.unwrap().status
        });
    }
    judge("RP-003", race, &stage, &before).await;

    let before = stage.counts().await;
    let (token, mut race) = (stage.good_token(), JoinSet::new());
    let proof = stage.good_proof(&token).sign(&stage.key);
    let client = stage.caller(Who::Nobody).connect_h2().await;
    for _ in 0..100 {
        let fields = [("authorization", format!("DPoP {token}")), ("dpop", proof.clone())];
        race.spawn(h2_get(client.clone(), url(PATH), fields));
    }
    judge("RP-004", race, &stage, &before).await;
    assert_eq!(stage.service.received().len(), 2);
}

async fn judge(id: &str, mut race: JoinSet<u16>, stage: &Stage, before: &Counts) {
    let mut statuses = Vec::new();
    while let Some(status) = race.join_next().await {
        statuses.push(status.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![401; 99]].concat(), "{id}");
    let counted = difference(before, &stage.counts().await);
    assert_eq!(counted, Counts::from([("granted".to_owned(), 1), ("proof_replayed".to_owned(), 99)]), "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_forgotten_early() {
    let stage = Stage::with(|config| config.replace("dpop: {", "dpop: { replay: { max_entries: 40 },")).await;
    let victim = stage.good(PATH);
    stage.run(vec![first("RP-008", &victim)]).await;
    let flooder = ProofKey::new();
    let token = stage.issuer.sign(&stage.issuer.token_for(&flooder));
    let flood =
        || Call::get(PATH).dpop(&token, &Jwt::new(&flooder, "GET", &url(PATH), &token).sign(&flooder));
    let mut refusals = 0;
    while refusals < 3 {
        let (answer, _) = stage.send(&flood(), false).await;
        refusals += usize::from(answer.unwrap().status == 503);
        assert!(stage.service.received().len() <= 40, "RP-008: more proofs than there is room for");
    }
    stage
        .run(vec![
            again("RP-008", &victim),
            refused("RP-008", A9, "replay_full", fixed(flood())),
            again("RP-008", &victim),
        ])
        .await;
    stage.finish().await;
}

/// DPOP-41, DPOP-43
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_remembered_as_long_as_it_could_be_accepted() {
    let change = |config: String| config.replace("dpop: {", "dpop: { max_age: 3s, max_future: 2s,");
    let stage = Stage::with(change).await;
    stage.clinch.becomes_ready().await;
    let issued = |offset: i64| {
        let token = stage.good_token();
        let iat = i64::try_from(now()).unwrap() + offset;
        Call::get(PATH).dpop(&token, &stage.good_proof(&token).claim("iat", iat).sign(&stage.key))
    };
    // What is older than the sidecar is another matter: it is given as many seconds as the window has.
    let old_enough = now() + 4;
    eventually("a window without doubts", async || (now() >= old_enough).then_some(())).await;
    let mut edge = Err(String::new());
    for _attempt in 0..5 {
        if edge.is_err() {
            edge = stage.attempt(&granted("CL-042", |_| true, fixed(on_the_second(|| issued(-3))))).await;
        }
    }
    assert_eq!(edge, Ok(()), "CL-042");
    // Made two seconds ahead, first used now: acceptable for five seconds, two longer than the window.
    let mut attempts = 0;
    let (early, late, began) = loop {
        let (began, early, late) = (now(), issued(2), issued(-1));
        let in_one_second = now() == began;
        let used = [first("RP-009", &early), first("RP-010", &late)];
        let used = (stage.attempt(&used[0]).await, stage.attempt(&used[1]).await);
        if in_one_second && used == (Ok(()), Ok(())) {
            break (early, late, began);
        }
        attempts += 1;
        assert!(attempts < 5, "RP-009, RP-010: {used:?}");
    };
    while now() < began + 5 {
        let told = stage.attempt(&again("RP-009", &early)).await;
        assert!(told.is_ok() || now() > began + 5, "RP-009: {told:?}");
        if now() < began + 2 {
            let told = stage.attempt(&again("RP-010", &late)).await;
            assert!(told.is_ok() || now() > began + 2, "RP-010: {told:?}");
        }
        let next = now() + 1;
        eventually("the next second", async || (now() >= next).then_some(())).await;
    }
    eventually("the end of its life", async || (now() > began + 5).then_some(())).await;
    stage.run(vec![refused("RP-009", A1, "proof_expired", fixed(early))]).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_within_the_skew_cost_nobody_anything() {
    let change = |config: String| config.replace("dpop: {", "dpop: { max_age: 30s, max_future: 5s,");
    let stage = Stage::with(change).await;
    stage.clinch.becomes_ready().await;
    let old_enough = now() + 5;
    eventually("a window without doubts", async || (now() >= old_enough).then_some(())).await;
    for offset in [-4, 4, 2, -3] {
        let token = stage.good_token();
        let iat = i64::try_from(now()).unwrap() + offset;
        let call = Call::get(PATH).dpop(&token, &stage.good_proof(&token).claim("iat", iat).sign(&stage.key));
        stage.run(vec![first("RP-014", &call), again("RP-014", &call)]).await;
    }
    stage.finish().await;
}

/// DPOP-47
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_used_up_whatever_the_service_does() {
    let stage = Stage::with(|config| {
        let line = config.lines().find(|line| line.starts_with("upstream:")).unwrap().to_owned();
        config.replace(&line, "upstream: { url: 'http://127.0.0.1:9', connect_timeout: 1s }")
    })
    .await;
    stage.clinch.becomes_ready().await;
    let call = stage.good(PATH);
    let (answer, _) = stage.send(&call, false).await;
    assert_eq!(answer.map(|answer| answer.status), Some(502), "RP-018");
    // RP-019: nor did a second attempt of our own ask the memory again: it would have refused, and counted.
    assert_eq!(stage.counts().await, Counts::from([("granted".to_owned(), 1)]), "RP-019");
    stage.run(vec![again("RP-018", &call)]).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_not_remembered() {
    let stage = Stage::start().await;
    let garbage = || {
        vec![
            proof("RP-021", "proof_signature", |s, p| p.claim("x", s.key.alg()).sign(&ProofKey::new())),
            proof("RP-021", "proof_target", |s, p| p.claim("htu", url("/x")).sign(&s.key)),
            proof("RP-021", "proof_token_hash", |s, p| p.claim("ath", "x").sign(&s.key)),
        ]
    };
    stage.run((0..20).flat_map(|_| garbage()).collect()).await;
    let page = stage.metrics().await;
    assert!(page.lines().any(|line| line == "clinch_replay_entries 0"), "RP-021:\n{page}");
    // A proof whose forged twin was refused is still good once.
    let token = stage.good_token();
    let (made, forger) = (stage.good_proof(&token), ProofKey::new());
    let forged = Call::get(PATH).dpop(&token, &made.sign(&forger));
    let genuine = Call::get(PATH).dpop(&token, &made.sign(&stage.key));
    stage.run(vec![refused("RP-021", A1, "proof_signature", fixed(forged)), first("RP-021", &genuine)]).await;
    stage.finish().await;
}

/// RP-024, HTTP-37: nothing is read before the handshake is done, so nothing can be replayed by the network.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_early_data() {
    let stage = Stage::start().await;
    stage.clinch.becomes_ready().await;
    let caller = stage.caller(Who::Nobody).with_early_data();
    for round in 0..3 {
        let mut stream = caller.connect().await;
        let call = stage.good(PATH).field("Early-Data", "1");
        let answer = crate::support::wire::converse(&mut stream, &call.bytes(), false).await.unwrap();
        let (_, session) = stream.get_ref();
        assert!(!session.is_early_data_accepted(), "round {round}");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let stream = caller.connect().await;
    let (_, session) = stream.get_ref();
    assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Resumed), "or the test shows nothing");
}
