//! What a pod is not started with: half a place, rules that could not be made, or those of one family.

use super::*;
use crate::support::clinch::finish;
use crate::support::namespaces::{as_peer, path};
use std::os::unix::fs::symlink;
use std::process::Output;

const SPEC: &str = r#"{"port":8080,"to":15443,"health":9902,"user":64000}"#;

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_pod_that_is_not_told_whole_ends_with_64() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let config = write(&folder, &pki, "https://localhost:1");
    let good = r#"{"mode":"port","listen":8080,"upstream":8080,"health":9902}"#;
    for (pod, ips, expected) in [
        (Some(good), None, "CLINCH_POD needs CLINCH_POD_IPS"),
        (None, Some("10.0.0.1"), "CLINCH_POD_IPS needs CLINCH_POD"),
        (Some(""), Some("10.0.0.1"), "CLINCH_POD: "),
        (Some(r#"{"mode":"port"}"#), Some("10.0.0.1"), "missing field `listen`"),
        (Some(good), Some(""), "CLINCH_POD_IPS: "),
        (Some(&good.replace("9902", "8080")), Some("10.0.0.1"), "listen and health are both 8080"),
    ] {
        let mut run = command();
        run.args(["run", "--config"]).arg(&config);
        let environment = [("CLINCH_POD", pod), ("CLINCH_POD_IPS", ips)];
        run.envs(environment.iter().filter_map(|(name, value)| Some((name, (*value)?))));
        let output = finish(&mut run).await;
        assert_eq!(output.status.code(), Some(64), "{expected}");
        assert!(told(&output).contains(expected), "{}", told(&output));
    }
}

/// WH-012
#[tokio::test]
async fn rules_that_can_not_be_are_refused_and_good_ones_can_be_seen() {
    for (spec, code, expected) in [
        (SPEC.replace("9902", "8080"), 64, "must differ"),
        (SPEC.replace("\"user\"", "\"open\":[8080],\"user\""), 64, "can't be guarded and open at once"),
        (String::new(), 64, "CLINCH_REDIRECT: "),
    ] {
        let output = finish(command().args(["redirect", "--spec", &spec])).await;
        assert_eq!(output.status.code(), Some(code));
        assert!(told(&output).contains(expected), "{}", told(&output));
    }
    let nowhere = finish(command().arg("redirect").env_remove("CLINCH_REDIRECT")).await;
    assert_eq!(nowhere.status.code(), Some(64));
    for (with, expected) in [("nft", "table inet clinch {"), ("iptables", "# ip6tables-restore")] {
        let output =
            finish(command().args(["redirect", "--print", "--with", with]).env("CLINCH_REDIRECT", SPEC))
                .await;
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected));
    }
}

/// Without the programs, or without the right to use them, the init container fails and the pod does not start.
#[test]
fn where_rules_can_not_be_made_it_ends_with_1() {
    as_peer(async |network| {
        let folder = Folder::public();
        let redirect = |path: &str| {
            let mut redirect = clinch(network, &folder);
            redirect.args(["redirect", "--spec", SPEC]).env("PATH", path);
            redirect.output().unwrap()
        };
        let output = redirect(&path());
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains("the capability NET_ADMIN"), "{}", told(&output));
        let only = folder.at("bin");
        std::fs::create_dir(&only).unwrap();
        symlink(which("setpriv"), only.join("setpriv")).unwrap();
        let output = network_redirect(network, &only);
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains("nft is not in PATH"), "{}", told(&output));
        assert!(told(&output).contains("iptables-save is not in PATH"), "{}", told(&output));
    });
}

/// WH-025: rules for IPv4 alone are not enough, as long as the kernel knows of IPv6.
#[test]
fn rules_of_one_family_are_none() {
    as_peer(async |network| {
        let folder = Folder::public();
        for program in ["iptables-save", "iptables-restore"] {
            symlink(which(program), folder.at(program)).unwrap();
        }
        let output = network_redirect(network, &folder.at(""));
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains("ip6tables-save is not in PATH"), "{}", told(&output));
    });
}

/// As root, finding programs in this folder only.
fn network_redirect(network: &Network, folder: &std::path::Path) -> Output {
    let binary = command();
    let mut redirect = network.command(0, "env");
    redirect.arg(format!("PATH={}", folder.display())).arg(binary.get_program());
    redirect.args(["redirect", "--spec", SPEC]).output().unwrap()
}

fn which(program: &str) -> PathBuf {
    let found = std::env::split_paths(&path()).map(|folder| folder.join(program)).find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{program} is not installed: run `make test-tools`"))
}
