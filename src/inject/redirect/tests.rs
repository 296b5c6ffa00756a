use super::iptables::Family;
use super::*;
use serde_json::{Value, json};

const SPEC: &str = r#"{"port":8080,"to":15443,"health":9902,"open":[9090],"openUdp":[53],"user":64000}"#;

/// WH-011, WH-023, WH-025, WH-026: what is let in is a closed list, and the guarded port is not on it.
#[test]
fn the_ruleset_is_this() {
    let text = nft::ruleset(&read(SPEC).unwrap());
    assert_eq!(text, include_str!("expected.nft"));
    let accepted: Vec<&str> = text.lines().filter(|line| line.contains("dport")).map(str::trim).collect();
    assert!(accepted.iter().all(|rule| !rule.contains("8080") || rule.ends_with("redirect to :15443")));
}

/// WH-012
#[test]
fn ports_that_contradict_each_other_are_refused() {
    for (change, told) in [
        (json!({"open": [8080]}), "port 8080 can't be guarded and open at once"),
        (json!({"to": 8080}), "must differ"),
        (json!({"health": 8080}), "must differ"),
        (json!({"open": [0]}), "0 is no port"),
        (json!({"user": 0}), "user is 0"),
        (json!({"outbound": true}), "unknown field"),
    ] {
        let mut spec: Value = serde_json::from_str(SPEC).unwrap();
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let why = read(&spec.to_string()).unwrap_err();
        assert!(why.starts_with("CLINCH_REDIRECT: ") && why.contains(told), "{why}");
    }
}

#[test]
fn what_the_kernel_has_is_what_was_written_or_a_fault_is_named() {
    let redirect = read(SPEC).unwrap();
    let listed: Value = serde_json::from_str(include_str!("listed.json")).unwrap();
    assert_eq!(nft::verify(&listed, &redirect), Ok(()));
    let other = Redirect { open: vec![], ..redirect.clone() };
    assert!(nft::verify(&listed, &other).unwrap_err().contains("of the chain input"));
    assert!(nft::verify(&json!({"nftables": []}), &redirect).is_err());
    let items = listed["nftables"].as_array().unwrap();
    for at in 0..items.len() {
        let mut fewer = items.clone();
        let gone = fewer.remove(at);
        let verified = nft::verify(&json!({ "nftables": fewer }), &redirect);
        assert_eq!(verified.is_ok(), gone.get("metainfo").is_some(), "without {gone}");
    }
    for (from, to) in [
        ("\"policy\": \"drop\"", "\"policy\": \"accept\""),
        ("\"prio\": 0", "\"prio\": 10"),
        ("\"right\": 64000", "\"right\": 0"),
        ("\"name\": \"clinch\",", "\"name\": \"clinch\", \"flags\": [\"dormant\"],"),
    ] {
        let changed = include_str!("listed.json").replace(from, to);
        assert_ne!(changed, include_str!("listed.json"), "{from} is in it");
        assert!(nft::verify(&serde_json::from_str(&changed).unwrap(), &redirect).is_err(), "{to}");
    }
}

#[test]
fn iptables_says_the_same_in_both_families() {
    let redirect = read(SPEC).unwrap();
    for family in [Family::V4, Family::V6] {
        let first = iptables::restore(&redirect, family, "");
        assert!(!first.contains("-D "), "{first}");
        // What iptables-save prints of it: the jumps as they are appended, in front or behind.
        let saved = first.replace("-I INPUT 1 ", "-A INPUT ");
        assert_eq!(iptables::verify(&saved, &redirect, family), Ok(()));
        let second = iptables::restore(&redirect, family, &saved);
        for jump in
            ["-D INPUT -j CLINCH_INPUT\n", "-D PREROUTING -j CLINCH_ARRIVING\n", "-D OUTPUT -j CLINCH_OWN\n"]
        {
            assert_eq!(second.matches(jump).count(), 1, "{second}");
        }
        for line in saved.lines().filter(|line| line.starts_with("-A")) {
            let fewer = saved.replacen(&format!("{line}\n"), "", 1);
            assert!(iptables::verify(&fewer, &redirect, family).is_err(), "without {line}");
        }
        let before = saved.replacen("-A CLINCH_INPUT -i lo", "-A INPUT -j ACCEPT\n-A CLINCH_INPUT -i lo", 1);
        assert!(iptables::verify(&before, &redirect, family).unwrap_err().contains("after other rules"));
    }
}
