//! `clinch redirect`: in the init container of a pod in mode `redirect`, has the kernel send what comes for the application's
//! port to clinch.
//!
//! The rules ([`redirect`]) are applied by `nft`, or where there is none by `iptables-restore` and `ip6tables-restore`, and then
//! read back: a pod starts only if the kernel says that it has them, for IPv4 and for IPv6 (WH-025). Exit code 0 then, 1 if
//! anything is doubtful, 64 for a wrong command line.

mod tool;

use super::EX_USAGE;
use super::check::print;
use crate::config::pod::{REDIRECT, Redirect};
use crate::inject::redirect::iptables::{self, Family};
use crate::inject::redirect::{self, nft};
use std::io::Write;
use std::process::ExitCode;
use tokio::net::TcpSocket;

/// Arguments of `clinch redirect`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// What the rules are made of, JSON as the injector writes it [env: CLINCH_REDIRECT]
    #[arg(long, value_name = "JSON")]
    spec: Option<String>,
    /// By which program
    #[arg(long, value_enum, default_value = "auto")]
    with: With,
    /// Print the rules and apply nothing
    #[arg(long)]
    print: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum With {
    /// nft, or iptables where nft can't
    Auto,
    Nft,
    Iptables,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let spec = arguments.spec.clone().map_or_else(|| std::env::var(REDIRECT), Ok);
    let wanted =
        spec.map_err(|_| format!("--spec or {REDIRECT} is needed")).and_then(|text| redirect::read(&text));
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(fault) => return complain(&fault, EX_USAGE),
    };
    if arguments.print {
        return print(&written(&wanted, arguments.with));
    }
    match apply(&wanted, arguments.with) {
        Ok(how) => print(&format!(
            "TCP port {} of this pod leads to clinch at {}, and nothing is reached around it: {how}\n",
            wanted.port, wanted.to
        )),
        Err(fault) => complain(&fault, 1),
    }
}

fn written(wanted: &Redirect, with: With) -> String {
    match with {
        With::Auto | With::Nft => nft::ruleset(wanted),
        With::Iptables => [Family::V4, Family::V6]
            .map(|family| format!("# {}\n{}", restore_program(family), iptables::restore(wanted, family, "")))
            .concat(),
    }
}

fn apply(wanted: &Redirect, with: With) -> Result<String, String> {
    match with {
        With::Nft => by_nft(wanted),
        With::Iptables => by_iptables(wanted),
        With::Auto => match tool::run("nft", &["-f", "-"], &nft::ruleset(wanted)) {
            Ok(_) => verify_nft(wanted),
            Err(nft) => by_iptables(wanted).map_err(|iptables| format!("{nft}\n{iptables}")),
        },
    }
}

fn by_nft(wanted: &Redirect) -> Result<String, String> {
    tool::run("nft", &["-f", "-"], &nft::ruleset(wanted))?;
    verify_nft(wanted)
}

fn verify_nft(wanted: &Redirect) -> Result<String, String> {
    let listed = tool::run("nft", &["-j", "-n", "list", "table", "inet", "clinch"], "")?;
    let listed = serde_json::from_str(&listed).map_err(|error| format!("nft lists no JSON: {error}"))?;
    nft::verify(&listed, wanted).map_err(|fault| format!("the kernel's rules differ: {fault}"))?;
    Ok("nft, IPv4 and IPv6".to_owned())
}

fn by_iptables(wanted: &Redirect) -> Result<String, String> {
    let families: &[Family] = if has_ipv6()? { &[Family::V4, Family::V6] } else { &[Family::V4] };
    for family in families {
        let saved = tool::run(save_program(*family), &[], "")?;
        let rules = iptables::restore(wanted, *family, &saved);
        tool::run(restore_program(*family), &["--noflush"], &rules)?;
    }
    for family in families {
        let saved = tool::run(save_program(*family), &[], "")?;
        iptables::verify(&saved, wanted, *family)
            .map_err(|fault| format!("the kernel's rules differ, says {}: {fault}", save_program(*family)))?;
    }
    let families = if families.len() == 2 { "IPv4 and IPv6" } else { "IPv4; this kernel has no IPv6" };
    Ok(format!("iptables, {families}"))
}

/// Whether the kernel knows of IPv6 at all. An address can come at any time where it does, so only where there is no such
/// socket is IPv4 enough (WH-025).
fn has_ipv6() -> Result<bool, String> {
    match TcpSocket::new_v6() {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => Ok(false),
        Err(error) => Err(format!("whether there is IPv6 can't be told: {error}")),
    }
}

fn restore_program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-restore",
        Family::V6 => "ip6tables-restore",
    }
}

fn save_program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables-save",
        Family::V6 => "ip6tables-save",
    }
}

fn complain(what: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {what}");
    ExitCode::from(code)
}

/// "Address family not supported by protocol" (socket(2)), on Linux.
const EAFNOSUPPORT: i32 = 97;
const AFTER_HELP: &str = "\
An object with port (the application's), to (clinch's), health, open and openUdp (lists of ports that stay as they are) \
and user (clinch's user id). A second run replaces what the first one made. Needs the capability NET_ADMIN in the pod's \
network namespace, and nft or iptables in PATH.";
