//! The rules for `iptables-restore --noflush` and `ip6tables-restore --noflush`, where there is no `nft`.
//!
//! Each family has chains of its own here, which are filled anew, and jumps to them, which are taken out first if they are
//! there: a second run is as good as the first. The filter comes before the redirection, so that what fails in between leaves the
//! pod closed.

use super::{in_order, let_in};
use crate::config::pod::Redirect;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `iptables`
    V4,
    /// `ip6tables`
    V6,
}

/// What `iptables-restore --noflush` is given. `saved`: what `iptables-save` prints now.
#[must_use]
pub fn restore(redirect: &Redirect, family: Family, saved: &str) -> String {
    let mut text = String::new();
    for table in tables(redirect, family) {
        text += &format!("*{}\n", table.name);
        for chain in &table.chains {
            text += &format!(":{} - [0:0]\n", chain.name);
        }
        let present: Vec<&str> = in_table(saved, table.name).collect();
        for chain in &table.chains {
            let jump = chain.jump();
            for _ in present.iter().filter(|line| **line == jump) {
                text += &format!("{}\n", jump.replacen("-A", "-D", 1));
            }
            for rule in &chain.rules {
                text += &format!("{rule}\n");
            }
            text += &if chain.first { jump.replacen("-A INPUT", "-I INPUT 1", 1) } else { jump };
            text.push('\n');
        }
        text += "COMMIT\n";
    }
    text
}

/// Whether what the kernel has are the rules: what `iptables-save` prints.
///
/// # Errors
/// In words where it differs.
pub fn verify(saved: &str, redirect: &Redirect, family: Family) -> Result<(), String> {
    for table in tables(redirect, family) {
        let lines: Vec<String> = in_table(saved, table.name).map(plain).collect();
        for Chain { name, hook, rules, first } in &table.chains {
            let jump = format!("-A {hook} -j {name}");
            let of = |chain: &str| {
                let prefix = format!("-A {chain} ");
                lines.iter().filter(move |line| line.starts_with(&prefix)).cloned().collect::<Vec<String>>()
            };
            if of(name) != *rules {
                return Err(format!("the chain {name} is not the one that was written"));
            }
            let jumps = of(hook);
            if jumps.iter().filter(|line| **line == jump).count() != 1 {
                return Err(format!("{hook} does not lead to {name}"));
            }
            if *first && jumps.first() != Some(&jump) {
                return Err(format!("{hook} leads to {name} after other rules only"));
            }
        }
    }
    Ok(())
}

struct Table {
    name: &'static str,
    chains: Vec<Chain>,
}

struct Chain {
    name: &'static str,
    /// The chain of the kernel's that leads here.
    hook: &'static str,
    rules: Vec<String>,
    /// Whether it must be asked before all others.
    first: bool,
}

impl Chain {
    fn jump(&self) -> String {
        format!("-A {} -j {}", self.hook, self.name)
    }
}

fn tables(redirect: &Redirect, family: Family) -> [Table; 2] {
    let chain = |name, hook, first, rules: Vec<String>| {
        let rules = rules.into_iter().map(|rule| format!("-A {name} {rule}")).collect();
        Chain { name, hook, rules, first }
    };
    let arriving = vec![taken(redirect, "")];
    [
        Table { name: "filter", chains: vec![chain("CLINCH_INPUT", "INPUT", true, input(redirect, family))] },
        Table {
            name: "nat",
            chains: vec![
                chain("CLINCH_ARRIVING", "PREROUTING", false, arriving),
                chain("CLINCH_OWN", "OUTPUT", false, own(redirect, family)),
            ],
        },
    ]
}

/// What the pod sends to itself.
fn own(redirect: &Redirect, family: Family) -> Vec<String> {
    vec![
        format!("-m owner --uid-owner {} -j RETURN", redirect.user),
        format!("-d {} -j RETURN", family.loopback()),
        taken(redirect, "-o lo "),
    ]
}

fn taken(redirect: &Redirect, whence: &str) -> String {
    format!("{whence}-p tcp -m tcp --dport {} -j REDIRECT --to-ports {}", redirect.port, redirect.to)
}

/// What is delivered in the pod, after redirection. What is let in here may be refused by others' rules.
fn input(redirect: &Redirect, family: Family) -> Vec<String> {
    let loopback = family.loopback();
    let mut rules = vec![
        "-i lo -j RETURN".to_owned(),
        format!("-s {loopback} -j DROP"),
        format!("-d {loopback} -j DROP"),
        "-m conntrack --ctstate ESTABLISHED -j RETURN".to_owned(),
        format!("-p {} -j RETURN", family.icmp()),
    ];
    let open = |protocol: &str, port: u16| format!("-p {protocol} -m {protocol} --dport {port} -j RETURN");
    rules.extend(let_in(redirect).into_iter().map(|port| open("tcp", port)));
    rules.extend(in_order(redirect.open_udp.iter().copied()).into_iter().map(|port| open("udp", port)));
    // A stray segment of a redirected connection still has the application's port: a reset would end that connection.
    rules.push("-m conntrack --ctstate INVALID -j DROP".to_owned());
    rules.push("-p tcp -j REJECT --reject-with tcp-reset".to_owned());
    rules.push(format!("-j REJECT --reject-with {}-port-unreachable", family.unreachable()));
    // REJECT leaves alone what it can't answer.
    rules.push("-j DROP".to_owned());
    rules
}

impl Family {
    fn loopback(self) -> &'static str {
        match self {
            Family::V4 => "127.0.0.0/8",
            Family::V6 => "::1/128",
        }
    }

    fn icmp(self) -> &'static str {
        match self {
            Family::V4 => "icmp",
            Family::V6 => "ipv6-icmp",
        }
    }

    fn unreachable(self) -> &'static str {
        match self {
            Family::V4 => "icmp",
            Family::V6 => "icmp6",
        }
    }
}

/// The rules of one table.
fn in_table<'s>(saved: &'s str, table: &str) -> impl Iterator<Item = &'s str> {
    let begin = format!("*{table}");
    let lines = saved.lines().map(str::trim).skip_while(move |line| *line != begin);
    lines.take_while(|line| *line != "COMMIT").filter(|line| line.starts_with("-A "))
}

/// Versions differ in how they name ICMP.
fn plain(line: &str) -> String {
    [
        ("-p icmpv6 ", "-p ipv6-icmp "),
        ("-p 58 ", "-p ipv6-icmp "),
        ("-p 1 ", "-p icmp "),
        ("-p 6 ", "-p tcp "),
    ]
    .iter()
    .fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
}
