//! What runs clinch where there is no Kubernetes: the images, Compose, systemd.

use super::support::temporary::Folder;
use super::support::tool;
use clinch::inject::manifest::documents;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_dockerfile_is_sound_and_ends_without_privileges() {
    let file = deploy("Dockerfile");
    let lint = tool("npm").join("node_modules/dockerfile-utils/bin/dockerfile-utils");
    let output = Command::new(tool("bin/node")).arg(&lint).arg("lint").arg(&file).output().unwrap();
    assert!(output.status.success() && said(&output).trim().is_empty(), "{}", said(&output));
    let folder = Folder::new();
    let wrong = folder.write("Dockerfile", "FROM a\nENTRYPONT b\n");
    let output = Command::new(tool("bin/node")).arg(&lint).arg("lint").arg(wrong).output().unwrap();
    assert!(said(&output).contains("ENTRYPONT"), "the linter finds nothing: {}", said(&output));

    let text = std::fs::read_to_string(&file).unwrap();
    let last = text.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("${BASE} AS clinch\n"), "{last}");
    assert!(
        last.contains("\nUSER 64000:64000\n") && last.contains("\nENTRYPOINT [\"/usr/local/bin/clinch\"]\n")
    );
    assert!(last.contains("CMD [\"/usr/local/bin/clinch\", \"ready\"]"));
    assert!(text.contains("--locked --profile dist") && !text.contains(":latest"));
    // Everything that is copied is let through, and exists.
    let ignored = std::fs::read_to_string(deploy("Dockerfile.dockerignore")).unwrap();
    for copied in
        text.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"))
    {
        let (sources, _) = copied.rsplit_once(' ').unwrap();
        for source in sources.split(' ') {
            assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} is ignored");
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).exists(), "{source}");
        }
    }
}

#[test]
fn compose_s_file_is_valid_and_the_service_has_no_network_of_its_own() {
    let file = deploy("compose.yaml");
    let script =
        "import sys; from compose_spec import PyCompose; PyCompose.from_yaml(open(sys.argv[1]).read())";
    let check =
        |file: &Path| Command::new(tool("venv/bin/python")).args(["-c", script]).arg(file).output().unwrap();
    assert!(check(&file).status.success(), "{}", said(&check(&file)));
    let folder = Folder::new();
    assert!(!check(&folder.write("compose.yaml", "services: { a: { imag: x } }\n")).status.success());

    let all = documents(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let services = &all[0]["services"];
    // Neither has the network: who has it runs nothing that could end, so a restart leaves nobody in an old one.
    for name in ["clinch", "service"] {
        assert_eq!(services[name]["network_mode"], "service:network");
        assert_eq!((services[name].get("ports"), services[name].get("networks")), (None, None), "{name}");
    }
    assert_eq!(services["network"]["ports"], json!(["8443:8443"]));
    assert_eq!(services["network"]["networks"], json!(["outside", "revocations"]));
    assert_eq!(all[0]["networks"]["revocations"]["internal"], true);
    assert_eq!(services["nats"]["networks"], json!(["revocations"]));
    for name in ["network", "clinch", "service", "nats"] {
        assert_eq!(
            (&services[name]["read_only"], &services[name]["cap_drop"]),
            (&Value::Bool(true), &json!(["ALL"])),
            "{name}"
        );
    }
}

/// The units as systemd reads them. The score is the one that docs/operations.md names.
#[test]
fn systemd_takes_the_units_and_finds_them_hardened() {
    let folder = Folder::new();
    let clinch = env!("CARGO_BIN_EXE_clinch");
    let unit = std::fs::read_to_string(deploy("systemd/clinch.service")).unwrap();
    let unit = folder.write("clinch.service", &unit.replace("/usr/local/bin/clinch", clinch));
    let socket = folder.at("clinch.socket");
    std::fs::copy(deploy("systemd/clinch.socket"), &socket).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").args([&unit, &socket]).output();
    let verified = verified.expect("systemd-analyze is not installed: run `make test-tools`");
    assert!(verified.status.success() && said(&verified).is_empty(), "{}", said(&verified));
    let security = ["security", "--offline=true", "--no-pager"];
    let judged = Command::new("systemd-analyze").args(security).arg(&unit).output().unwrap();
    let words = said(&judged);
    let score =
        words.lines().find_map(|line| line.split_once("exposure level for clinch.service: ")).unwrap().1;
    let score: f64 = score.split(' ').next().unwrap().parse().unwrap();
    assert!(score <= 1.1, "{words}");
    let told = std::fs::read_to_string(deploy("../docs/operations.md")).unwrap();
    assert!(
        told.contains("`systemd-analyze security` gives it 1.1"),
        "docs/operations.md names another score than {score}"
    );
}
