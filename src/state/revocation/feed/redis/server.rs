//! The server that has the stream, and what can be wrong with it.

use super::PATIENCE;
use crate::config::{Redis, RedisKind};
use crate::state::redis::client;
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind};
use anyhow::Context;
use http::uri::Authority;
use std::fmt;
use std::time::Duration;

/// Why a stream can't be read or written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No connection, an error, no answer in time.
    Failed(String),
    /// The cluster has the stream elsewhere.
    Moved(Authority),
    /// A replica may be behind without knowing it.
    Replica,
    /// No Sentinel names a master.
    NoMaster(String),
    /// The stream existed and does no longer.
    Disappeared(String),
    /// An answer that Redis does not give.
    Unintelligible(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Failed(why) => write!(f, "Redis: {why}"),
            Trouble::Moved(server) => write!(f, "the stream has moved to {server}"),
            Trouble::Replica => f.write_str("this Redis is a replica, which may lack what the master has"),
            Trouble::NoMaster(name) => write!(f, "no Sentinel names a master for {name}"),
            Trouble::Disappeared(stream) => write!(f, "the stream {stream} has disappeared"),
            Trouble::Unintelligible(what) => write!(f, "the answer to {what} is not what Redis answers"),
        }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Trouble {
        let moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
        match error.redirect_node().and_then(|(server, _)| server.parse().ok()).filter(|_| moved) {
            Some(server) => Trouble::Moved(server),
            None => Trouble::Failed(error.to_string()),
        }
    }
}

/// Whether a client can be made of it at all.
pub(super) fn check(redis: &Redis) -> anyhow::Result<()> {
    for server in redis.address.servers() {
        client(&redis.address.url(server), &redis.ca).with_context(|| format!("no client for {server}"))?;
    }
    Ok(())
}

/// Connects to the server that has the stream, or to the one that is said to have it. `patience` is for every
/// answer on this connection.
pub(super) async fn connect(
    redis: &Redis,
    moved: Option<&Authority>,
    patience: Duration,
) -> Result<MultiplexedConnection, Trouble> {
    if let Some(server) = moved {
        return open(redis, &redis.address.url(server), patience).await;
    }
    if let RedisKind::Sentinel(name) = redis.address.kind() {
        let master = master(redis, name).await?;
        return open(redis, &redis.address.url(&master), patience).await;
    }
    let mut trouble = Trouble::Unintelligible("nothing");
    for server in redis.address.servers() {
        match open(redis, &redis.address.url(server), patience).await {
            Ok(connection) => return Ok(connection),
            Err(this) => trouble = this,
        }
    }
    Err(trouble)
}

/// The first master that a Sentinel names.
pub(super) async fn master(redis: &Redis, name: &str) -> Result<Authority, Trouble> {
    let mut trouble = Trouble::NoMaster(name.to_owned());
    for sentinel in redis.address.servers() {
        match ask(redis, sentinel, name).await {
            Ok(Some(master)) => return Ok(master),
            Ok(None) => (),
            Err(this) => trouble = this,
        }
    }
    Err(trouble)
}

/// Sentinels often have no login although their servers do: it is shown to one that asks for it.
async fn ask(redis: &Redis, sentinel: &Authority, name: &str) -> Result<Option<Authority>, Trouble> {
    let (without, with) = (redis.address.url_without_login(sentinel), redis.address.url(sentinel));
    let told = match name_master(redis, &without, name).await {
        Err(error) if error.code() == Some("NOAUTH") => name_master(redis, &with, name).await,
        told => told,
    };
    let Some((host, port)) = told? else { return Ok(None) };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let master = format!("{host}:{port}").parse();
    master.map(Some).map_err(|_| Trouble::Unintelligible("SENTINEL GET-MASTER-ADDR-BY-NAME"))
}

async fn name_master(redis: &Redis, url: &str, name: &str) -> Result<Option<(String, u16)>, RedisError> {
    let mut sentinel = dial(redis, url, PATIENCE).await?;
    ::redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).query_async(&mut sentinel).await
}

async fn open(redis: &Redis, url: &str, patience: Duration) -> Result<MultiplexedConnection, Trouble> {
    Ok(dial(redis, url, patience).await?)
}

async fn dial(redis: &Redis, url: &str, patience: Duration) -> Result<MultiplexedConnection, RedisError> {
    let invalid = || RedisError::from((ErrorKind::InvalidClientConfig, "this is no address of a server"));
    let client = client(url, &redis.ca).ok_or_else(invalid)?;
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(patience));
    client.get_multiplexed_async_connection_with_config(&settings).await
}
