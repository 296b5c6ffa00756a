//! `clinch revoke` to a feed that does not let in everybody, and to the feed of a replica's configuration.

use crate::support::clinch::{Clinch, command, finish};
use crate::support::eventually;
use crate::support::nats::{Nats, STREAM, SUBJECT};
use crate::support::pki::Pki;
use crate::support::temporary::Folder;
use crate::support::wire::plain_get;
use crate::support::world::{config, write};
use nkeys::KeyPair;
use std::path::Path;

/// It can't be reached, which is nothing to the feed.
const ISSUER: &str = "https://127.0.0.1:1";

/// Exit code and all that is said, after one token of [`ISSUER`].
async fn revoke(arguments: &[&str]) -> (i32, String) {
    let output = finish(command().args(["revoke", "--issuer", ISSUER]).args(arguments)).await;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code().unwrap(), said.concat())
}

fn configured(folder: &Folder, pki: &Pki, feed: &str) -> std::path::PathBuf {
    let revocation = format!("revocation:\n  feed: {feed}\n  accept_plain: true\n");
    write(folder, pki, &(config(ISSUER, "127.0.0.1:1") + &revocation))
}

/// A server that speaks TLS only, and its clients are a user with a password and one with an nkey.
async fn guarded(folder: &Folder, pki: &Pki, key: &KeyPair) -> Nats {
    let [certificate, private] = [("nats.crt", &pki.server.certificate), ("nats.key", &pki.server.key)]
        .map(|(name, text)| folder.write(name, text));
    let settings = format!(
        "tls {{ cert_file: '{}', key_file: '{}' }}\n\
         authorization {{ users: [ {{ user: clinch, password: s3cret }}, {{ nkey: {} }} ] }}\n",
        certificate.display(),
        private.display(),
        key.public_key()
    );
    Nats::start_with(&settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_log_in_over_tls_publishes_and_nobody_else() {
    let (folder, pki, key) = (Folder::new(), Pki::new(), KeyPair::new_user());
    let nats = guarded(&folder, &pki, &key).await;
    let address = nats.address();
    let with_password = format!("tls://clinch:s3cret@{address}");
    // The replica makes the stream, and says in the end that it has had each.
    let feed = format!(
        "{{ kind: nats, url: '{with_password}', stream: {STREAM}, subject: '{SUBJECT}', ca: ca.crt }}"
    );
    let config = configured(&folder, &pki, &feed);
    let replica = Clinch::start_unready(&config).await;
    let admin = format!("http://{}", replica.admin);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (config, ca) = (path(&config), path(&folder.at("ca.crt")));
    let seed = path(&folder.write("user.nk", &format!("{}\n", key.seed().unwrap())));
    let stranger = path(&folder.write("stranger.nk", &KeyPair::new_user().seed().unwrap()));
    let foreign = path(&folder.write("foreign.crt", &Pki::new().ca_pem));
    let anonymous = format!("tls://{address}");
    let (wrong, plain) = (format!("tls://clinch:wr0ng@{address}"), format!("nats://clinch:s3cret@{address}"));

    let current = r#""state":"current""#;
    eventually("the replica to read", async || {
        let answer = plain_get(replica.admin, "/status").await?;
        answer.body.contains(current).then_some(())
    })
    .await;
    let let_in: [&[&str]; 3] = [
        &["--config", &config],
        &["--feed", &with_password, "--ca", &ca],
        &["--feed", &anonymous, "--ca", &ca, "--nkey", &seed],
    ];
    for (n, access) in let_in.iter().enumerate() {
        let jti = n.to_string();
        let (code, said) = revoke(&[access, &["--jti", &jti, "--wait", &admin][..]].concat()).await;
        assert_eq!(code, 0, "{access:?}: {said}");
        assert!(said.contains(&format!("sequence {}", n + 1)) && said.contains("applied"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }

    let refused: [(&[&str], &str); 6] = [
        (&["--feed", &anonymous, "--ca", &ca], "authorization violation"),
        (&["--feed", &wrong, "--ca", &ca], "authorization violation"),
        (&["--feed", &anonymous, "--ca", &ca, "--nkey", &stranger], "authorization violation"),
        (&["--feed", &with_password], "invalid peer certificate"),
        (&["--feed", &with_password, "--ca", &foreign], "invalid peer certificate"),
        (&["--feed", &plain], ""),
    ];
    for (access, why) in refused {
        let (code, said) = revoke(&[access, &["--jti", "refused"]].concat()).await;
        assert_eq!(code, 1, "{access:?}: {said}");
        assert!(said.starts_with("error: nothing was published") && said.contains(why), "{access:?}: {said}");
        assert!(!said.contains("s3cret") && !said.contains("wr0ng"), "{said}");
    }
    let (_, said) = revoke(&["--config", &config, "--jti", "last"]).await;
    assert!(said.contains("sequence 4"), "what was refused is not in the stream: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_of_a_configuration_is_found_and_one_without_a_feed_is_wrong_usage() {
    let (folder, pki) = (Folder::new(), Pki::new());
    let journal = folder.at("journal");
    let config = configured(&folder, &pki, &format!("{{ kind: file, path: '{}' }}", journal.display()));
    let replica = Clinch::start_unready(&config).await;
    let admin = format!("http://{}", replica.admin);
    let config = config.to_str().unwrap();
    let (code, said) = revoke(&["--config", config, "--sub", "alice", "--wait", &admin]).await;
    assert_eq!(code, 0, "{said}");
    assert!(std::fs::read_to_string(&journal).unwrap().contains(r#""sub":"alice""#));

    write(&folder, &pki, &crate::support::world::config(ISSUER, "127.0.0.1:1"));
    let (code, said) = revoke(&["--config", config, "--sub", "alice"]).await;
    assert_eq!((code, said.contains("has no `revocation`")), (64, true), "{said}");
    let absent = folder.at("absent.yaml");
    assert_eq!(revoke(&["--config", absent.to_str().unwrap(), "--sub", "alice"]).await.0, 64);
}
