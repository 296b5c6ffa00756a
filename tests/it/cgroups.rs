//! How many threads serve under the CPU limit of a control group, of either version.
//!
//! The files are as the kernel shows them, at the places where it does, in a mount namespace of clinch's own; that takes root.
//! No group is made and nothing is limited, so it does not matter which version this machine has.

use crate::support::clinch::Clinch;
use crate::support::program::Program;
use crate::support::stage::{Setting, Stage, VERIFIED};
use std::process::Command;

/// Shows clinch the files `$3…`, each as `path=content` below `/sys/fs/cgroup`, and `$2` as the groups that it is in.
const SHOW: &str = r#"set -e
mount -t tmpfs none /sys/fs/cgroup || { echo 'mount namespaces take root: `sudo make test`' >&2; exit 1; }
clinch=$0 config=$1 groups=$2; shift 2
for file in "$@"; do
  path=/sys/fs/cgroup/${file%%=*}
  mkdir -p "${path%/*}"
  printf '%s\n' "${file#*=}" >"$path"
done
printf '%s\n' "$groups" >/sys/fs/cgroup/told
mkdir -p "/sys/fs/cgroup/${groups##*:/}"
echo cpu >"/sys/fs/cgroup/${groups##*:/}/cgroup.controllers"
mount --bind /sys/fs/cgroup/told /proc/$$/cgroup
exec "$clinch" run --config "$config""#;

/// The groups of a process in version 2 of control groups, there in a container, and in version 1.
const V2: &str = "0::/outer/inner";
const CONTAINER: &str = "0::/";
const V1: &str = "2:memory:/elsewhere\n1:cpu,cpuacct:/outer/inner";

#[tokio::test(flavor = "multi_thread")]
async fn as_many_threads_serve_as_the_least_limit_on_the_path_allows() {
    let stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let all = processors();
    for (groups, limits, expected) in [
        (V2, vec![v2("outer/inner", "max 100000")], all),
        (V2, vec![v2("outer/inner", "100000 100000")], 1),
        (V2, vec![v2("outer/inner", "50000 100000")], 1),
        (V2, vec![v2("outer/inner", "299999 200000")], 1),
        (V2, vec![v2("outer/inner", "500000 250000")], all.min(2)),
        (V2, vec![v2("outer", "100000 100000"), v2("outer/inner", "max 100000")], 1),
        (V2, vec![v2("outer", "max 100000"), v2("outer/inner", "100000 100000")], 1),
        (V2, vec![v2("outer", "100000 100000"), v2("outer/inner", "900000 100000")], 1),
        (CONTAINER, vec![v2("", "max 100000")], all),
        (CONTAINER, vec![v2("", "100000 100000")], 1),
        (V1, v1("outer/inner", "-1"), all),
        (V1, v1("outer/inner", "150000"), 1),
        (V1, v1("outer/inner", "200000"), all.min(2)),
        (V1, [v1("outer", "100000"), v1("outer/inner", "-1")].concat(), 1),
    ] {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", SHOW, env!("CARGO_BIN_EXE_clinch")]);
        command.arg(stage.config_file()).arg(groups).args(&limits);
        let clinch = Clinch::of(Program::start(command.env("STATE_DIRECTORY", stage.folder()))).await;
        let said = clinch.program.output();
        assert!(
            said.contains(&format!(r#""workers":{expected}"#)),
            "{limits:?}, {expected} of {all}: {said}"
        );
    }
}

fn v2(group: &str, limit: &str) -> String {
    format!("{group}/cpu.max={limit}")
}

fn v1(group: &str, quota: &str) -> Vec<String> {
    let file = |name: &str, content: &str| format!("cpu/{group}/cpu.cfs_{name}_us={content}");
    vec![file("quota", quota), file("period", "100000")]
}

/// How many this process may run on, whatever its own group's limit is.
fn processors() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:")).unwrap();
    mask.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum()
}
