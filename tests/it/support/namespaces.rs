//! Two network namespaces with one wire between them: a pod, and a peer outside of it, where the test itself runs.
//!
//! Sockets belong to the namespace of the thread that made them and stay there, so a socket of the pod's can be served by the
//! test. Programs are started in the pod by `ip netns exec`. It takes root: without it the tests fail.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, thread};

/// Both namespaces; they are gone when it is dropped.
pub struct Network {
    pod: String,
    peer: String,
}

/// The pod's addresses.
pub const POD: [&str; 2] = ["10.77.0.2", "fd77::2"];
/// The peer's.
pub const PEER: [&str; 2] = ["10.77.0.1", "fd77::1"];
/// The user id that clinch has in a pod.
pub const CLINCH: u32 = 64_000;
/// That of nobody in particular.
pub const SOMEBODY: u32 = 65_534;

/// Has a namespace's kernel take loopback addresses for ones like any other (a shell's words).
pub const ROUTE_LOCALNET: &str = "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet";

/// Runs a test as the peer: its sockets are outside the pod, its runtime is of one thread.
pub fn as_peer(test: impl AsyncFnOnce(&Network) + Send + 'static) {
    let network = Network::new();
    let run = thread::spawn(move || {
        enter(&network.peer);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(&network));
    });
    if let Err(panic) = run.join() {
        std::panic::resume_unwind(panic);
    }
}

impl Network {
    fn new() -> Network {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("clinch-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let network = Network { pod: format!("{name}-pod"), peer: format!("{name}-peer") };
        for side in [&network.pod, &network.peer] {
            ip(&["netns", "add", side]);
        }
        let ends = ["name", WIRE, "netns", &network.peer, "type", "veth", "peer", "name", WIRE, "netns"];
        ip(&[&["link", "add"], &ends[..], &[&network.pod]].concat());
        for (side, addresses) in [(&network.pod, POD), (&network.peer, PEER)] {
            ip(&["-n", side, "link", "set", "lo", "up"]);
            ip(&["-n", side, "link", "set", WIRE, "up"]);
            ip(&["-n", side, "address", "add", &format!("{}/24", addresses[0]), "dev", WIRE]);
            // Nobody else can have it: it is good at once.
            ip(&["-n", side, "address", "add", &format!("{}/64", addresses[1]), "dev", WIRE, "nodad"]);
        }
        network
    }

    /// A command in the pod, as a user without capabilities, or as root.
    pub fn command(&self, user: u32, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.env("PATH", path()).env_remove("RUST_LOG").env("NO_COLOR", "1");
        command.args(["netns", "exec", &self.pod]);
        if user != 0 {
            command.arg("setpriv").args([format!("--reuid={user}"), format!("--regid={user}")]);
            command.args(["--clear-groups", "--no-new-privs", "--"]);
        }
        command.arg(program);
        command
    }

    /// What a command in the pod comes to, as root.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(0, program).args(arguments).output().unwrap()
    }

    /// What it prints; it must go well.
    pub fn says(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Does something in the pod: what sockets it makes are the pod's.
    pub fn in_pod<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let make = || {
            enter(&self.pod);
            make()
        };
        thread::scope(|scope| scope.spawn(make).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Has the peer send what is for 127.0.0.1 to the pod.
    pub fn lead_loopback_of_peer_to_pod(&self) {
        ip(&["-n", &self.peer, "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"]);
        ip(&["-n", &self.peer, "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local"]);
        ip(&["-n", &self.peer, "route", "add", "127.0.0.0/8", "via", POD[0], "dev", WIRE, "src", PEER[0]]);
        let allow = ["netns", "exec", &self.peer, "sh", "-c", ROUTE_LOCALNET];
        ip(&allow);
    }

    /// A socket that listens in the pod, for the runtime of the test.
    pub fn listen(&self, address: &str) -> std::io::Result<tokio::net::TcpListener> {
        let listener = self.in_pod(|| std::net::TcpListener::bind(address))?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    }

    /// A connection from the pod.
    pub fn connect(&self, address: &str) -> std::io::Result<tokio::net::TcpStream> {
        let stream = self.in_pod(|| std::net::TcpStream::connect(address))?;
        stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(stream)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for side in [&self.pod, &self.peer] {
            let _ = Command::new("ip").env("PATH", path()).args(["netns", "del", side]).status();
        }
    }
}

/// A port at the pod's addresses, in both families.
pub fn at_pod(port: u16) -> [SocketAddr; 2] {
    POD.map(|address| SocketAddr::new(address.parse::<IpAddr>().unwrap(), port))
}

/// Where system programs are, whoever's shell this is.
pub fn path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").env("PATH", path()).args(arguments).output();
    let output = output.expect("ip is not installed: run `make test-tools`");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "network namespaces take root: `sudo make test` (ip {arguments:?}: {told})"
    );
}

const WIRE: &str = "eth0";
