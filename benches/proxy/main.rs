//! What clinch costs, beside a plain proxy and a bare signature check, all in one run.
//!
//! `cargo bench --bench proxy` starts a service, a plain proxy and clinch itself as processes of their own,
//! and sends all of them the same requests in turn. What counts is the CPU time of the proxy's process per
//! request, from the scheduler's account: it moves far less than rates do on a machine that others use.
//! The two numbers at the end are the budgets: DPoP against plain proxy + one P-256 verification + 10 %,
//! certificate-bound against plain proxy + 15 %.
//!
//! `-- instructions` has callgrind count what the proxies execute for each request instead, which noise does not touch.
//!
//! `-- observed` compares clinch with clinch under traces, metrics and an audit log; `-- observed-instructions` counts.
//!
//! `-- propagation` measures instead how long a revocation takes to count, over NATS and Redis; `-- attacks` what others
//! notice of an attack; `-- soak` whether all of it can go on for MINUTES, 20 if nothing is said.

// Criterion is not used here: a load takes seconds, and what is wanted is the CPU time of another process.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

mod account;
mod attacker;
mod attacks;
mod bus;
mod instructions;
mod load;
mod observed;
mod parts;
mod pki;
mod propagation;
mod scene;
mod soak;

use account::Series;
use load::{Load, Protocol};
use scene::{Core, Credential, Scene};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["service"] => parts::service(),
        ["plain", service, certificate, key, clients_ca] => {
            parts::plain_proxy(service, certificate, key, clients_ca)
        }
        ["signature"] => println!("{}", parts::signature_nanos()),
        ["compare"] => parts::on_one_thread(compare()),
        ["instructions"] => parts::on_one_thread(instructions::report()),
        ["attack-report"] => parts::on_one_thread(attacks::report()),
        ["attacker", name, address, ca, requests] => {
            parts::on_one_thread(attacker::run(name, address, ca, requests))
        }
        ["attacks", ..] => {
            // Latencies are measured: what else runs on the machine comes second, as the attacker does.
            assert!(scene::nice_role("-15", &["attack-report"]).status().unwrap().success())
        }
        ["soak-report"] => parts::on_one_thread(soak::report()),
        ["soak", ..] => assert!(scene::nice_role("0", &["soak-report"]).status().unwrap().success()),
        ["observed"] => parts::on_one_thread(observed::report()),
        ["observed-instructions"] => parts::on_one_thread(observed::count()),
        ["propagation"] => parts::on_one_thread(propagation::report()),
        // The load and the service share the other core.
        [role @ ("propagation" | "instructions" | "observed" | "observed-instructions"), ..] => {
            assert!(scene::own_role(Core::Load, &[role]).status().unwrap().success())
        }
        // Whatever cargo says.
        _ => assert!(scene::own_role(Core::Load, &["compare"]).status().unwrap().success()),
    }
}

async fn compare() {
    let scene = Scene::start("").await;
    let mut direct = Series::new("h1 direct, without TLS: the service alone");
    let (mut signature, mut rows) = (Series::new("one P-256 verification"), rows());
    for _ in 0..ROUNDS {
        // As busy as the machine is under load: cores may share more than they show.
        let checking = tokio::task::spawn_blocking(scene::signature_micros);
        direct.push(load::direct(&scene.service, &checking).await);
        signature.push(checking.await.unwrap());
        for pair in rows.chunks_exact_mut(2) {
            let load = |row: &Row| Load::new(&scene, row.protocol, row.credential, REQUESTS);
            let loads = vec![(load(&pair[0]), &scene.plain), (load(&pair[1]), &scene.clinch)];
            let micros = load::side_by_side(loads).await;
            pair.iter_mut().zip(micros).for_each(|(row, micros)| row.series.push(micros));
        }
    }
    println!(
        "CPU per request in us, {ROUNDS} interleaved rounds of {REQUESTS} requests: median (least to most)"
    );
    direct.print();
    signature.print();
    rows.iter().for_each(|row| row.series.print());
    println!("clinch against its budget, medians of the ratios of each round");
    for pair in rows.chunks_exact(2) {
        let [plain, clinch] = pair else { unreachable!() };
        let (beside, allowed) = match plain.credential {
            Credential::Dpop => (Some(&signature), 1.10),
            Credential::Certificate => (None, 1.15),
        };
        let ratio = clinch.series.over(&plain.series, beside);
        println!(
            "  {:<38} {:5.3} ({:.3} to {:.3}), budget {allowed:.2}",
            clinch.series.name,
            ratio.median(),
            ratio.least(),
            ratio.most()
        );
    }
}

/// One measurement of every round.
struct Row {
    protocol: Protocol,
    credential: Credential,
    series: Series,
}

/// The plain proxy, then the clinch it is compared with.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for credential in [Credential::Dpop, Credential::Certificate] {
            for clinch in [false, true] {
                let proxy = if clinch { "clinch" } else { "plain proxy, headers carried unread" };
                let series = Series::new(&format!("{} {} {proxy}", protocol.name(), credential.name()));
                rows.push(Row { protocol, credential, series });
            }
        }
    }
    rows
}

const ROUNDS: usize = 7;
const REQUESTS: usize = 5000;
