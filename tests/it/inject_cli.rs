//! `clinch inject` as a shell uses it.

use super::support::temporary::Folder;
use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The exit code, standard output and standard error.
fn inject(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinch"));
    command.arg("inject").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever is wrong in its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const POD: &str = "# the shop\napiVersion: v1\nkind: Pod\nmetadata: { name: shop } # called so\nspec:\n  containers:\n    - name: app\n      image: shop:1\n      ports: [{ containerPort: 8080 }]\n";
const SERVICE: &str = "# not a pod\nkind: Service\napiVersion: v1\nspec: { ports: [{ port: 80 }] }\n";

#[test]
fn a_pod_gets_the_sidecar_and_all_else_stays() {
    let both = format!("{POD}---\n{SERVICE}");
    let (code, out, err) = inject(&["-f", "-"], &both);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("    - name: clinch\n") && out.ends_with(SERVICE), "{out}");
    for line in both.lines() {
        assert!(out.contains(line) || line.starts_with("metadata"), "{line} is missing:\n{out}");
    }
    assert!(out.contains("# called so"));
    let (code, again, _) = inject(&["-f", "-"], &out);
    assert_eq!((code, again), (0, out));
}

#[test]
fn a_diff_says_what_changes_without_colour_in_a_pipe() {
    let folder = Folder::new();
    let file = folder.write("pod.yaml", POD);
    let (code, out, _) = inject(&["--diff", "-f", file.to_str().unwrap()], "");
    assert_eq!(code, 0);
    assert!(
        out.starts_with("--- ") && out.contains("\n@@ ") && out.contains("\n+    - name: clinch\n"),
        "{out}"
    );
    assert!(!out.contains('\u{1b}'));
    let (_, whole, _) = inject(&["-f", file.to_str().unwrap()], "");
    assert_eq!(inject(&["--diff", "-f", "-"], &whole), (0, String::new(), String::new()));
}

#[test]
fn json_gives_json() {
    let pod = "{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"metadata\": {}, \"spec\": {\"containers\": [{\"name\": \"app\", \"ports\": [{\"containerPort\": 8080}]}]}}\n";
    let (code, out, err) = inject(&["-f", "-"], pod);
    assert_eq!(code, 0, "{err}");
    let read: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read["spec"]["initContainers"][0]["name"], "clinch");
}

/// Nothing is printed that somebody could apply while a part of it was refused.
#[test]
fn every_refusal_is_told_and_nothing_is_printed() {
    let bad = |name: &str, more: &str| {
        format!(
            "kind: Pod\napiVersion: v1\nmetadata: {{name: {name}, annotations: {{clinch.dev/{more}}}}}\nspec:\n  containers: [{{name: app, ports: [{{containerPort: 8080}}]}}]\n"
        )
    };
    let all = format!("{POD}---\n{}---\n{}", bad("one", "mode: bridge"), bad("two", "fail-open: 'true'"));
    let (code, out, err) = inject(&["-f", "-"], &all);
    assert_eq!((code, out.as_str()), (1, ""));
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines[0].starts_with("-:11: document 2, Pod/one: clinch.dev/mode: "), "{err}");
    assert!(lines[1].starts_with("-:17: document 3, Pod/two: clinch.dev/fail-open: "), "{err}");
    let (code, out, err) = inject(&["-f", "-"], "a: [\n");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("-:1: the file: not YAML"), "{err}");
}

#[test]
fn who_opts_out_stays_as_he_is_and_it_is_said() {
    let out = POD.replace("{ name: shop }", "{ name: shop, labels: {clinch.dev/inject: disabled} }");
    let (code, text, err) = inject(&["-f", "-"], &out);
    assert_eq!((code, text), (0, out));
    assert_eq!(err, "warning: -:2: document 1, Pod/shop: left as it is: the pod opts out\n");
    let inside = POD.replace("{ name: shop }", "{ name: shop, namespace: kube-system }");
    let (_, text, err) = inject(&["-f", "-"], &inside);
    assert_eq!(text, inside);
    assert!(err.contains("the namespace belongs to Kubernetes"), "{err}");
    let (_, _, err) = inject(&["-f", "-", "--namespace", "clinch-system"], POD);
    assert!(err.contains("the injector's own"), "{err}");
}

/// The operator's template, read from a repository where its certificates are not.
#[test]
fn the_injector_s_configuration_decides_where_it_is_named() {
    let folder = Folder::new();
    let tls = "listen: { tls: { certificate: /nowhere/tls.crt, private_key: /nowhere/tls.key } }\n";
    let write = |template: &str| {
        let file = folder.write("injector.yaml", &format!("{tls}namespace: ours\ntemplate: {template}\n"));
        file.to_str().unwrap().to_owned()
    };
    let (code, out, err) =
        inject(&["-f", "-", "--config", &write("{ image: registry.example/clinch:9 }")], POD);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("image: registry.example/clinch:9"), "{out}");
    let disabled = POD.replace("{ name: shop }", "{ name: shop, labels: {clinch.dev/inject: disabled} }");
    let (code, out, err) = inject(&["-f", "-", "--config", &write("{}")], &disabled);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("template.opt_out"), "{err}");
    let (_, _, err) = inject(&["-f", "-", "--config", &write("{}"), "-n", "ours"], POD);
    assert!(err.contains("the injector's own"), "{err}");
    let (code, out, err) = inject(&["-f", "-", "--config", &write("{ imagee: x }")], POD);
    assert_eq!((code, out.as_str()), (64, ""));
    assert!(err.contains("template.imagee") || err.contains("imagee"), "{err}");
}

#[test]
fn wrong_usage_is_64() {
    for arguments in [&["-f", "/nonexistent.yaml"][..], &[], &["-f", "-", "--config", "/nonexistent.yaml"]] {
        let (code, out, err) = inject(arguments, POD);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}");
        assert!(!err.is_empty());
    }
}
