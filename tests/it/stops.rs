//! A sidecar that stops: nobody who is served loses the end of an answer, and nobody who is not holds it up.

use crate::support::eventually;
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::wire::{converse, get};
use std::net::SocketAddr;

async fn stage(listen: &str, service: Option<SocketAddr>) -> Stage {
    Stage::set(Setting { tls: VERIFIED, listen: listen.to_owned(), service, ..Setting::default() }).await
}

/// Waits for the end of a sidecar that was told to stop, and of which nothing was cut.
async fn ends_in_time(stage: &mut Stage) {
    let program = &mut stage.clinch.program;
    assert!(program.ended().await.success(), "{}", program.output());
    let output = program.output();
    assert!(!output.contains("are cut"), "nothing was in flight: {output}");
}

/// A limit that was made smaller while more were open is no reason to wait for anybody who has gone.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_too_many_hold_up_no_stop_when_they_have_gone() {
    let mut stage = stage("limits: { connections: 20 }", None).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
        let request = get("/open/1", &[]).replace("Connection: close\r\n", "");
        assert_eq!(converse(&mut stream, request.as_bytes(), false).await.expect("an answer").status, 200);
        open.push(stream);
    }
    stage.configure(&stage.config().replace("connections: 20", "connections: 4"));
    stage.clinch.program.signal("HUP");
    let applied = "clinch_config_reloads_total{result=\"applied\"}";
    eventually("a reload", async || (stage.metric(applied).await == 1).then_some(())).await;
    stage.clinch.program.terminate();
    drop(open);
    ends_in_time(&mut stage).await;
}
