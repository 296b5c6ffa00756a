//! nghttp and h2load: another HTTP/2 client's frames, and many streams at a time.

use super::Scene;
use crate::support::echo::Echo;
use crate::support::oauth_client::HOST;
use std::process::{Command, Output};

const ROUTES: &str = "  - { path: '/open/{*rest}', danger_unprotected: true }
  - { path: '/x/{*rest}', proof: [dpop] }
";

async fn run(program: &'static str, args: Vec<String>) -> Output {
    let run = move || Command::new(program).args(args).output();
    let ran = tokio::task::spawn_blocking(run).await.unwrap();
    ran.unwrap_or_else(|e| panic!("{program}: {e}: run `make test-tools`"))
}

fn fields(scene: &Scene, credentials: &[(&str, String)]) -> (String, Vec<String>) {
    let address = scene.front.clinch.address;
    let mut fields = vec!["-H".to_owned(), format!(":authority: {HOST}")];
    for (name, value) in credentials {
        fields.extend(["-H".to_owned(), format!("{name}: {value}")]);
    }
    (format!("https://{address}"), fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn nghttp_sees_a_grant_a_refusal_and_the_offer_of_websockets() {
    let service = Echo::start().await;
    let scene = Scene::before(service.address, ROUTES, "").await;
    let credentials = scene.credentials("GET", "/x/1", &scene.token());
    let (origin, mut args) = fields(&scene, &credentials);
    args.extend(["-v".to_owned(), format!("{origin}/x/1")]);
    let output = run("nghttp", args).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(":status: 200"), "{said}");
    assert!(said.contains("[SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1]"), "{said}");
    let (origin, mut args) = fields(&scene, &[]);
    args.extend(["-v".to_owned(), format!("{origin}/x/1")]);
    let output = run("nghttp", args).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(":status: 401") && said.contains("www-authenticate: DPoP"), "{said}");
    assert_eq!(service.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn h2load_loses_no_request() {
    let service = Echo::start().await;
    let scene = Scene::before(service.address, ROUTES, "").await;
    let (origin, mut args) = fields(&scene, &[]);
    args.extend(["-n3000", "-c5", "-m100"].map(str::to_owned));
    args.push(format!("{origin}/open/1"));
    let output = run("h2load", args).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
    assert!(said.contains("status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
    assert_eq!(service.count(), 3000);
}
