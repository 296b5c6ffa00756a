use super::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const IPS: &str = "10.1.2.3, fd00::3";

fn config(change: impl Fn(String) -> String) -> Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("clinch-placement-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    let own = rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).unwrap();
    std::fs::write(folder.join("server.crt"), own.cert.pem()).unwrap();
    std::fs::write(folder.join("server.key"), own.signing_key.serialize_pem()).unwrap();
    let config = Config::parse(&change(WRITTEN.to_owned()), &folder.join("clinch.yaml"));
    std::fs::remove_dir_all(&folder).unwrap();
    config.unwrap()
}

fn pod(more: Value) -> String {
    let mut pod = json!({ "mode": "port", "listen": 8080, "upstream": 8080, "health": 9902 });
    pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pod.to_string()
}

fn placed(more: Value) -> Result<Config, String> {
    let mut config = config(|text| text);
    Placement::read(&pod(more), IPS)?.apply(&mut config)?;
    Ok(config)
}

fn refused(more: Value) -> String {
    placed(more).map(|_| ()).unwrap_err()
}

#[test]
fn in_mode_port_it_listens_at_the_pods_addresses_and_the_service_at_loopback() {
    let config = placed(json!({ "logLevel": "debug" })).unwrap();
    assert_eq!(config.listen.address.to_string(), "10.1.2.3:8080");
    assert_eq!(config.listen.also, ["[fd00::3]:8080".parse().unwrap()]);
    assert_eq!(config.upstream.address.to_string(), "http://127.0.0.1:8080");
    assert_eq!(config.telemetry.level, LevelFilter::DEBUG);
    assert!(!config.observes && placed(json!({ "observe": true })).unwrap().observes);
    let in_pod = config.pod.unwrap();
    assert_eq!(in_pod.held, Some(8080));
    assert_eq!(in_pod.health, ["10.1.2.3:9902".parse().unwrap(), "[fd00::3]:9902".parse().unwrap()]);
}

#[test]
fn the_service_is_not_waited_for() {
    let asked = |text: String| text.replace("8080' }", "8080', readiness: { path: /ready } }");
    let mut config = config(asked);
    assert!(config.upstream.readiness.is_some());
    Placement::read(&pod(json!({})), IPS).unwrap().apply(&mut config).unwrap();
    assert!(config.upstream.readiness.is_none());
    assert!(config.warnings.iter().any(|warning| warning.starts_with("upstream.readiness:")));
}

#[test]
fn in_mode_redirect_it_listens_at_every_address_of_each_family_there_is() {
    let redirect = json!({ "mode": "redirect", "listen": 15443 });
    let both = placed(redirect.clone()).unwrap();
    assert_eq!((both.listen.address.to_string(), both.listen.also.len()), ("[::]:15443".to_owned(), 0));
    assert_eq!(both.pod.unwrap().held, None);
    let mut config = config(|text| text);
    Placement::read(&pod(redirect), "10.1.2.3").unwrap().apply(&mut config).unwrap();
    assert_eq!(config.listen.address.to_string(), "0.0.0.0:15443");
}

#[test]
fn the_services_host_stays_where_it_is_loopback_and_a_unix_socket_is_left_alone() {
    let placement = Placement::read(&pod(json!({ "upstream": 3000 })), IPS).unwrap();
    for (written, placed, held) in [
        ("http://localhost:1", "http://localhost:3000", Some(3000)),
        ("http://[::1]:1", "http://[::1]:3000", Some(3000)),
        ("unix:///run/app.sock", "unix:///run/app.sock", None),
    ] {
        let mut config = config(|text| text.replace("http://127.0.0.1:8080", written));
        placement.apply(&mut config).unwrap();
        assert_eq!(config.upstream.address.to_string(), placed);
        assert_eq!(config.pod.unwrap().held, held, "{written}");
    }
}

/// WH-012
#[test]
fn ports_in_each_others_way_are_named() {
    for (more, told) in [
        (json!({ "listen": 9902 }), "listen and health are both 9902"),
        (json!({ "listen": 9901 }), "listen and the port of admin.address are both 9901"),
        (json!({ "health": 9901 }), "health and the port of admin.address are both 9901"),
        (json!({ "health": 8080, "listen": 8443 }), "health and the service's port are both 8080"),
        (json!({ "mode": "redirect" }), "listen and the service's port are both 8080"),
        (json!({ "listen": 0 }), "listen is 0"),
        (json!({ "logLevel": "loud" }), "logLevel is \"loud\""),
        (json!({ "failOpen": true }), "unknown field `failOpen`"),
    ] {
        let why = refused(more);
        assert!(why.starts_with("CLINCH_POD: ") && why.contains(told), "{why}");
    }
}

#[test]
fn addresses_that_no_pod_has_are_refused() {
    for wrong in
        ["", "10.1.2.3,", "0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "pod", "10.1.2.3,10.1.2.3"]
    {
        let why = Placement::read(&pod(json!({})), wrong).unwrap_err();
        assert!(why.starts_with("CLINCH_POD_IPS: "), "{why}");
    }
}

const WRITTEN: &str = "
listen:
  public_origins: [https://api.example.com]
  tls: { certificate: server.crt, private_key: server.key }
upstream: { url: 'http://127.0.0.1:8080' }
issuers: [{ issuer: https://as.example.com, audiences: [https://api.example.com] }]
routes: [{ path: '/{*path}', proof: [dpop] }]
";
