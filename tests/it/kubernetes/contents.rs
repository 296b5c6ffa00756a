//! What an operator relies on in the files: who is asked, what happens without an answer, who may do what.

use super::images::{names, variable};
use super::{EXAMPLE, OVERLAYS, injected, object, objects, rendered};
use crate::support::pki::Pki;
use crate::support::temporary::Folder;
use clinch::config::{Config, Injector, InjectorTls};
use clinch::inject::manifest::documents;
use clinch::inject::webhook::Question;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

const ALWAYS_LEFT: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "clinch-system"];

#[test]
fn webhooks_fail_closed_and_never_ask_about_the_cluster_s_own_namespaces() {
    for folder in OVERLAYS {
        let all = objects(folder);
        let mut paths = Vec::new();
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            for webhook in object(&all, kind, "clinch-injector")["webhooks"].as_array().unwrap() {
                assert_eq!(webhook["failurePolicy"], "Fail");
                assert_eq!(webhook["sideEffects"], "None");
                assert_eq!(webhook["matchPolicy"], "Equivalent");
                assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]));
                assert!(webhook["timeoutSeconds"].as_u64().unwrap() <= 5);
                assert_eq!(
                    webhook["clientConfig"].get("caBundle"),
                    None,
                    "{folder}: an apply would take it back"
                );
                let again = webhook.get("reinvocationPolicy").and_then(Value::as_str);
                assert_eq!(again, kind.starts_with("Mutating").then_some("IfNeeded"));
                let expressions = webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
                let left = json!({ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ALWAYS_LEFT });
                assert!(expressions.contains(&left), "{folder}: {webhook}");
                paths.push(webhook["clientConfig"]["service"]["path"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(paths, Question::ALL.map(Question::path));
        for policy in ["clinch-guarded", "clinch-ephemeral", "clinch-namespace"] {
            let policy = object(&all, "ValidatingAdmissionPolicy", policy);
            assert_eq!(policy["spec"]["failurePolicy"], "Fail");
            let selector = &policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"][0];
            assert_eq!(selector["values"], json!(ALWAYS_LEFT));
        }
    }
}

/// Two replicas apart, never both gone, and without any privilege.
#[test]
fn the_injector_survives_a_node_and_may_nothing() {
    for folder in OVERLAYS {
        let all = objects(folder);
        let deployment = &object(&all, "Deployment", "clinch-injector")["spec"];
        assert_eq!(
            (&deployment["replicas"], &deployment["strategy"]["rollingUpdate"]["maxUnavailable"]),
            (&json!(2), &json!(0))
        );
        let pod = &deployment["template"]["spec"];
        assert_eq!(pod["topologySpreadConstraints"].as_array().unwrap().len(), 2);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0];
        assert_eq!(
            container["securityContext"],
            json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } })
        );
        assert_eq!(container["image"], concat!("ghcr.io/clinch-dev/clinch:", env!("CARGO_PKG_VERSION")));
        assert_eq!(container["readinessProbe"]["httpGet"], json!({ "path": "/ready", "port": "admin" }));
        assert_eq!(object(&all, "PodDisruptionBudget", "clinch-injector")["spec"]["minAvailable"], 1);
        let may: Vec<&Value> = all
            .iter()
            .filter(|o| {
                o["kind"].as_str().unwrap().ends_with("Role") && o["metadata"]["name"] == "clinch-injector"
            })
            .flat_map(|role| role["rules"].as_array().unwrap())
            .collect();
        let allowed = if folder.ends_with("cert-manager") { 0 } else { 2 };
        assert_eq!(may.len(), allowed, "{folder}");
        for rule in may {
            let all = [&rule["verbs"], &rule["resources"], &rule["resourceNames"]];
            let words: Vec<&str> =
                all.iter().flat_map(|list| list.as_array().unwrap()).map(|w| w.as_str().unwrap()).collect();
            assert!(
                !words.contains(&"*") && !words.contains(&"create") && !words.contains(&"list"),
                "{folder}: {rule}"
            );
        }
        let token = &pod["automountServiceAccountToken"];
        assert_eq!(*token, !folder.ends_with("cert-manager"), "{folder}");
    }
}

#[test]
fn cert_manager_is_told_what_to_make_and_where_to_put_it() {
    let all = objects("overlays/cert-manager");
    let certificate = object(&all, "Certificate", "clinch-injector");
    assert_eq!(certificate["apiVersion"], "cert-manager.io/v1");
    assert_eq!(certificate["spec"]["dnsNames"][0], "clinch-injector.clinch-system.svc");
    // Who signs it outlives it, and signs itself: a leaf that did would change the webhooks' authority at each renewal.
    assert_eq!(certificate["spec"].get("isCA"), None);
    let issuer = object(&all, "Issuer", certificate["spec"]["issuerRef"]["name"].as_str().unwrap());
    let authority = object(&all, "Certificate", "clinch-authority");
    assert_eq!(issuer["spec"]["ca"]["secretName"], authority["spec"]["secretName"]);
    assert_eq!(
        (&authority["spec"]["isCA"], &authority["spec"]["duration"]),
        (&json!(true), &json!("87600h"))
    );
    assert_eq!(authority["spec"]["privateKey"]["rotationPolicy"], "Never");
    let itself = object(&all, "Issuer", authority["spec"]["issuerRef"]["name"].as_str().unwrap());
    assert_eq!(itself["spec"], json!({ "selfSigned": {} }));
    let volumes = &object(&all, "Deployment", "clinch-injector")["spec"]["template"]["spec"]["volumes"];
    let secret =
        volumes.as_array().unwrap().iter().find_map(|volume| volume["secret"]["secretName"].as_str());
    assert_eq!(secret, certificate["spec"]["secretName"].as_str());
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let annotations = &object(&all, kind, "clinch-injector")["metadata"]["annotations"];
        assert_eq!(annotations["cert-manager.io/inject-ca-from"], "clinch-system/clinch-injector");
    }
}

/// The configuration in a ConfigMap, read as the sidecar would, with certificates of the test's own.
#[test]
fn the_example_s_configuration_is_a_good_one() {
    let all = objects(EXAMPLE);
    let text = object(&all, "ConfigMap", "clinch")["data"]["clinch.yaml"].as_str().unwrap();
    checks(text);
    checks(&std::fs::read_to_string(super::deploy("compose/clinch.yaml")).unwrap());
}

fn checks(text: &str) {
    let folder = Folder::new();
    let pki = Pki::new();
    for name in ["tls", "server"] {
        folder.write(&format!("{name}.crt"), &pki.server.certificate);
        let key = folder.write(&format!("{name}.key"), &pki.server.key);
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = text.replace("/etc/clinch/tls", folder.at("").to_str().unwrap());
    let read = Config::load(&folder.write("clinch.yaml", &text));
    assert!(read.is_ok(), "{}", read.unwrap_err());
}

/// The injector's file of each overlay, read as the injector reads it, agrees with the objects around it.
#[test]
fn every_overlay_s_injector_has_a_good_configuration() {
    for overlay in OVERLAYS {
        let all = objects(overlay);
        let (folder, pki) = (Folder::new(), Pki::new());
        folder.write("tls.crt", &pki.server.certificate);
        folder.write("tls.key", &pki.server.key);
        let text = object(&all, "ConfigMap", "clinch-injector")["data"]["injector.yaml"].as_str().unwrap();
        let text = text.replace("/etc/clinch/injector-tls", folder.at("").to_str().unwrap());
        let read = Injector::load(&folder.write("injector.yaml", &text));
        let injector = read.unwrap_or_else(|problems| panic!("{overlay}: {problems}"));
        assert_eq!((injector.listen.address.port(), injector.admin.port()), (9443, 9902), "{overlay}");
        assert_eq!(injector.namespace.as_deref(), Some("clinch-system"));
        let named = |variable, image: &str| {
            names(&all, variable).iter().any(|name| image.starts_with(&format!("{name}:")))
        };
        assert!(named("images", &injector.template.image), "{overlay}");
        let redirect = injector.template.redirect_image.as_ref().unwrap_or(&injector.template.image);
        assert!(named("redirectImages", redirect), "{overlay}");
        assert_eq!(variable(&all, "optOut"), json!(injector.template.opt_out), "{overlay}");
        let deployment = object(&all, "Deployment", "clinch-injector");
        let runs = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(*runs, injector.template.image, "{overlay}");
        match injector.listen.tls {
            InjectorTls::Files { .. } => assert!(overlay.ends_with("cert-manager")),
            InjectorTls::SelfManaged(own) => {
                object(&all, "Secret", &own.secret);
                object(&all, "Service", &own.service);
                object(&all, "MutatingWebhookConfiguration", &own.webhooks[0]);
            }
        }
    }
}

/// Only the guarded port can be reached, the application listens at loopback, and the sidecar has its port.
#[test]
fn the_example_is_guarded_and_a_second_injection_changes_nothing() {
    let once = injected(&rendered(EXAMPLE));
    assert_eq!(injected(&once), once);
    let all = documents(&once).unwrap();
    let pod = &object(&all, "Deployment", "shop")["spec"]["template"]["spec"];
    let sidecar = &pod["initContainers"][0];
    assert_eq!((&sidecar["name"], &sidecar["restartPolicy"]), (&json!("clinch"), &json!("Always")));
    let told = sidecar["env"].as_array().unwrap().iter().find(|env| env["name"] == "CLINCH_POD").unwrap();
    let told: Value = serde_json::from_str(told["value"].as_str().unwrap()).unwrap();
    assert_eq!((&told["listen"], &told["upstream"]), (&json!(8080), &json!(8080)));
    assert!(pod["containers"][0]["command"].as_array().unwrap().contains(&json!("127.0.0.1")));
    let ports = &object(&all, "NetworkPolicy", "shop")["spec"]["ingress"];
    assert_eq!(ports[0]["ports"], json!([{ "protocol": "TCP", "port": 8080 }]));
    assert_eq!(ports[1]["ports"], json!([{ "protocol": "TCP", "port": 9902 }]));
}
