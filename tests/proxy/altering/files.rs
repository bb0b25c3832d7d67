//! Changes of a proxy that came from a file, and those that are kept beside it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use banyan::config::{Alone, Configuration, Loaded, Server};
use banyan::{ApplyError, Drift, Journal, Keeping, Proxy, ProxyHandle, Source, Terms};
use serde_json::{Value, json};

use super::{document, dump, put_cluster, terms};
use crate::support::{cluster, listener};

/// A file, as it is now.
struct File(std::path::PathBuf);

impl Source for File {
    fn load(&self) -> Loaded {
        banyan::config::load(&self.0)
    }

    fn overrule(&self, server: &mut Server) {
        server.name = "overruled".to_owned();
    }
}

fn write(path: &Path, document: &Value) {
    std::fs::write(path, document.to_string()).unwrap();
}

async fn from_file(path: &Path, keeping: Keeping) -> ProxyHandle {
    let source = Arc::new(File(path.to_owned()));
    let configuration = Configuration::of(source.load(), &Alone).unwrap();
    let configuration = configuration.overruled(|server| source.overrule(server));
    let proxy = Proxy::default().workers(1).source(source).keeping(keeping);
    proxy.run(configuration).await.unwrap()
}

#[actix::test]
async fn a_reload_makes_the_file_run_or_says_everything_that_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mosn.json");
    let first = document(&[listener("app")], &[cluster("LB_RANDOM", &[])]);
    write(&path, &first);
    let proxy = from_file(&path, Keeping::default()).await;
    assert_eq!(
        proxy.reload(terms()).await.unwrap().changes,
        [],
        "nothing has changed"
    );

    let mut second = first.clone();
    second["cluster_manager"]["clusters"] =
        json!([cluster("LB_ROUNDROBIN", &[]), { "name": "new" }]);
    write(&path, &second);
    let Drift::Changes(drift) = proxy.drift().await.unwrap() else {
        panic!("it loads")
    };
    assert_eq!(drift.changes.len(), 2, "{drift:?}");
    let outcome = proxy.reload(terms()).await.unwrap();
    assert_eq!(outcome.summary, drift);
    assert_eq!(
        proxy.running().configuration.plan().server.name,
        "overruled"
    );
    let Drift::Changes(drift) = proxy.drift().await.unwrap() else {
        panic!("it loads")
    };
    assert_eq!(drift.changes, [""; 0]);

    let before = dump(&proxy);
    write(
        &path,
        &json!({ "servers": [], "cluster_manager": { "clusters": [{}] } }),
    );
    let ApplyError::Source(found) = proxy.reload(terms()).await.unwrap_err() else {
        panic!("it is wrong")
    };
    assert_eq!(found.errors().count(), 2, "{found}");
    assert!(matches!(proxy.drift().await.unwrap(), Drift::Refused(_)));
    assert_eq!(dump(&proxy), before);
}

#[actix::test]
async fn accepted_changes_are_on_disk_before_they_are_answered() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mosn.json");
    write(
        &path,
        &document(&[listener("app")], &[cluster("LB_RANDOM", &[])]),
    );
    let journal = Journal::new(home.path().join("history"), 10);
    let keeping = Keeping {
        journal: Some(journal.clone()),
        base: 42,
        version: 7,
    };
    let proxy = from_file(&path, keeping).await;
    assert_eq!(
        proxy.running().version,
        8,
        "it goes on where the last process was"
    );
    assert!(journal.latest().unwrap().is_none(), "a start is no change");

    proxy.edit(put_cluster("kept"), terms()).await.unwrap();
    let kept = journal.latest().unwrap().unwrap();
    assert_eq!((kept.version, kept.base), (9, 42));
    assert_eq!(kept.document.to_json().to_string(), dump(&proxy));

    let hour = Terms {
        confirm_within: Some(Duration::from_secs(3600)),
        ..terms()
    };
    proxy.edit(put_cluster("later"), hour).await.unwrap();
    assert_eq!(
        journal.latest().unwrap().unwrap().version,
        9,
        "it may still be rolled back"
    );
    proxy.confirm(10).await.unwrap();
    assert_eq!(journal.latest().unwrap().unwrap().version, 10);

    proxy.stop().await;
    proxy.ended().await.unwrap();
    let again = Keeping {
        journal: Some(journal),
        base: 42,
        version: 10,
    };
    let proxy = from_file(&path, again).await;
    proxy.rollback(9, terms()).await.unwrap();
    assert!(dump(&proxy).contains("kept") && !dump(&proxy).contains("later"));
}

#[actix::test]
async fn a_change_that_cannot_be_kept_is_undone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mosn.json");
    write(
        &path,
        &document(&[listener("app")], &[cluster("LB_RANDOM", &[])]),
    );
    // A directory cannot be made below a file.
    let journal = Some(Journal::new(path.join("history"), 10));
    let proxy = from_file(
        &path,
        Keeping {
            journal,
            base: 0,
            version: 0,
        },
    )
    .await;
    let before = dump(&proxy);

    let refused = proxy.edit(put_cluster("lost"), terms()).await.unwrap_err();

    assert!(
        matches!(
            refused,
            ApplyError::Step {
                step: "journal",
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!((dump(&proxy), proxy.running().version), (before, 1));
    let overview = proxy.snapshot().await.unwrap();
    assert!(
        overview
            .clusters
            .iter()
            .all(|cluster| cluster.name.as_str() != "lost")
    );
}
