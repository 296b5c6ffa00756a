//! The rules for `nft`: one table of both families, replaced as a whole in one transaction, so that a second run is as
//! good as the first, and there is no moment without rules.
//!
//! The nat chains come just after those of others (priority -99): where a mesh redirects the port, too, the mesh is first,
//! and what it hands on to the pod's own address comes here (WH-024).

use super::{in_order, let_in};
use crate::config::pod::Redirect;
use serde_json::{Map, Value, json};

/// What `nft -f -` is given.
#[must_use]
pub fn ruleset(redirect: &Redirect) -> String {
    // A table can't be deleted that is not there, hence the first line.
    let mut text = String::from("add table inet clinch\ndelete table inet clinch\ntable inet clinch {\n");
    for chain in chains(redirect) {
        let Chain { name, kind, hook, priority, policy, rules } = chain;
        text += &format!(
            "\tchain {name} {{\n\t\ttype {kind} hook {hook} priority {priority}; policy {policy};\n"
        );
        for rule in rules {
            let words: Vec<&str> = rule.iter().map(|part| part.text.as_str()).collect();
            text += &format!("\t\t{}\n", words.join(" "));
        }
        text += "\t}\n";
    }
    text + "}\n"
}

/// Whether what the kernel has is the ruleset: what `nft -j -n list table inet clinch` prints (libnftables-json(5)).
///
/// # Errors
/// In words where it differs.
pub fn verify(listed: &Value, redirect: &Redirect) -> Result<(), String> {
    let items = listed.get("nftables").and_then(Value::as_array).ok_or("nft lists no objects")?;
    let named = |kind: &'static str| items.iter().filter_map(move |item| item.get(kind));
    // A dormant table has rules and does nothing.
    if named("table").count() != 1 || named("table").any(|table| table.get("flags").is_some()) {
        return Err("the table inet clinch is not in force".to_owned());
    }
    let wanted = chains(redirect);
    if named("chain").count() != wanted.len() {
        return Err("the table inet clinch has other chains".to_owned());
    }
    for chain in &wanted {
        let name = chain.name;
        let found = named("chain").find(|found| found.get("name") == Some(&json!(name)));
        let found = found.ok_or_else(|| format!("there is no chain {name}"))?;
        if let Some((key, _)) = chain.shape().iter().find(|(key, value)| found.get(*key) != Some(value)) {
            return Err(format!("the chain {name} has another {key}"));
        }
        let rules: Vec<Value> = named("rule")
            .filter(|rule| rule.get("chain") == Some(&json!(name)))
            .map(|rule| in_numbers(rule.get("expr").unwrap_or(&Value::Null), ""))
            .collect();
        let expected: Vec<Value> =
            chain.rules.iter().map(|rule| rule.iter().map(|part| part.json.clone()).collect()).collect();
        if let Some(at) = (0..rules.len().max(expected.len())).find(|at| rules.get(*at) != expected.get(*at))
        {
            return Err(format!("rule {} of the chain {name} is not the one that was written", at + 1));
        }
    }
    Ok(())
}

struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: &'static str,
    priority: i32,
    policy: &'static str,
    rules: Vec<Vec<Part>>,
}

/// A part of a rule, as it is written and as it is read back.
struct Part {
    text: String,
    json: Value,
}

impl Chain {
    fn shape(&self) -> [(&'static str, Value); 4] {
        let Chain { kind, hook, priority, policy, .. } = self;
        [("type", json!(kind)), ("hook", json!(hook)), ("prio", json!(priority)), ("policy", json!(policy))]
    }
}

fn chains(redirect: &Redirect) -> [Chain; 3] {
    let nat = |name, hook, rules| Chain { name, kind: "nat", hook, priority: -99, policy: "accept", rules };
    let arriving = vec![vec![port("tcp", redirect.port), to(redirect.to)]];
    [
        nat("arriving", "prerouting", arriving),
        nat("own", "output", own(redirect)),
        Chain {
            name: "input",
            kind: "filter",
            hook: "input",
            priority: 0,
            policy: "drop",
            rules: input(redirect),
        },
    ]
}

/// What the pod sends to itself.
fn own(redirect: &Redirect) -> Vec<Vec<Part>> {
    let user = matches("meta skuid", json!({"meta": {"key": "skuid"}}), redirect.user);
    vec![
        vec![user, accept()],
        vec![loopback("daddr"), accept()],
        vec![loopback6("daddr"), accept()],
        vec![interface("oif"), port("tcp", redirect.port), to(redirect.to)],
    ]
}

/// What is delivered in the pod, after redirection.
fn input(redirect: &Redirect) -> Vec<Vec<Part>> {
    let mut rules = vec![vec![interface("iif"), accept()]];
    for side in ["saddr", "daddr"] {
        rules.push(vec![loopback(side), drop_it()]);
        rules.push(vec![loopback6(side), drop_it()]);
    }
    rules.push(vec![state("established", 2), accept()]);
    rules.push(vec![protocol(ICMP), accept()]);
    rules.push(vec![protocol(ICMPV6), accept()]);
    rules.extend(let_in(redirect).into_iter().map(|open| vec![port("tcp", open), accept()]));
    let udp = in_order(redirect.open_udp.iter().copied());
    rules.extend(udp.into_iter().map(|open| vec![port("udp", open), accept()]));
    // A stray segment of a redirected connection still has the application's port: a reset would end that connection.
    rules.push(vec![state("invalid", 1), drop_it()]);
    rules.push(vec![protocol(TCP), part("reject with tcp reset", json!({"reject": {"type": "tcp reset"}}))]);
    let unreachable = json!({"reject": {"type": "icmpx", "expr": "port-unreachable"}});
    rules.push(vec![part("reject with icmpx port-unreachable", unreachable)]);
    rules
}

fn part(text: impl Into<String>, json: Value) -> Part {
    Part { text: text.into(), json }
}

fn matches(what: &str, left: Value, right: u32) -> Part {
    part(format!("{what} {right}"), json!({"match": {"op": "==", "left": left, "right": right}}))
}

fn port(protocol: &str, port: u16) -> Part {
    let left = json!({"payload": {"protocol": protocol, "field": "dport"}});
    matches(&format!("{protocol} dport"), left, port.into())
}

/// By number: the names are in a file that an image need not have.
fn protocol(number: u32) -> Part {
    matches("meta l4proto", json!({"meta": {"key": "l4proto"}}), number)
}

fn interface(which: &str) -> Part {
    let json = json!({"match": {"op": "==", "left": {"meta": {"key": which}}, "right": "lo"}});
    part(format!("{which} \"lo\""), json)
}

fn state(name: &str, number: u32) -> Part {
    let json = json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": number}});
    part(format!("ct state {name}"), json)
}

fn loopback(side: &str) -> Part {
    let left = json!({"payload": {"protocol": "ip", "field": side}});
    let right = json!({"prefix": {"addr": "127.0.0.0", "len": 8}});
    part(format!("ip {side} 127.0.0.0/8"), json!({"match": {"op": "==", "left": left, "right": right}}))
}

fn loopback6(side: &str) -> Part {
    let left = json!({"payload": {"protocol": "ip6", "field": side}});
    part(format!("ip6 {side} ::1"), json!({"match": {"op": "==", "left": left, "right": "::1"}}))
}

fn to(port: u16) -> Part {
    part(format!("redirect to :{port}"), json!({"redirect": {"port": port}}))
}

fn accept() -> Part {
    part("accept", json!({"accept": null}))
}

fn drop_it() -> Part {
    part("drop", json!({"drop": null}))
}

/// Some versions of nft print a name for a number in spite of `-n`, and leave out what is the default.
fn in_numbers(value: &Value, key: &str) -> Value {
    match value {
        Value::Array(list) => list.iter().map(|one| in_numbers(one, key)).collect(),
        Value::Object(object) => {
            let member = |(key, value): (&String, &Value)| (key.clone(), in_numbers(value, key));
            Value::Object(object.iter().map(member).collect::<Map<_, _>>())
        }
        Value::Null if key == "reject" => json!({"type": "icmpx", "expr": "port-unreachable"}),
        Value::Number(number) if key == "expr" && number.as_u64() == Some(1) => json!("port-unreachable"),
        Value::String(name) if key == "right" => match name.as_str() {
            "icmp" => json!(ICMP),
            "ipv6-icmp" | "icmpv6" => json!(ICMPV6),
            "tcp" => json!(TCP),
            "established" => json!(2),
            "invalid" => json!(1),
            _ => value.clone(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// IANA's protocol numbers.
const ICMP: u32 = 1;
const TCP: u32 = 6;
const ICMPV6: u32 = 58;
