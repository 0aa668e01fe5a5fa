//! Where a cluster may live, and which server runs it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use private_postgres::{Binaries, Cluster, Error, socket_dir_for};

use crate::support::{is_root, open_folder, options, query, start};

#[test]
fn a_folder_without_a_server_is_refused_by_name() {
    let folder = open_folder();
    let refusal = Binaries::find(Some(folder.path().to_owned())).unwrap_err();
    assert!(matches!(refusal, Error::NoServerIn { .. }), "{refusal}");
    let text = refusal.to_string();
    assert!(text.contains(folder.path().to_str().unwrap()) && text.contains("PG_BINDIR"), "{text}");
}

#[test]
fn a_given_folder_with_a_server_is_used() {
    let found = Binaries::find(None).unwrap();
    assert_eq!(Binaries::find(Some(found.dir().to_owned())).unwrap(), found);
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one_that_goes_with_the_server() {
    let folder = open_folder();
    let data_dir = folder.path().join("long".repeat(30)).join("postgres");
    let cluster = start(&data_dir).await;

    let socket_dir = socket_dir_for(&data_dir);
    assert!(!socket_dir.starts_with(&data_dir));
    assert_eq!(fs::metadata(&socket_dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(query(&cluster.url(), "select 1"), "1");

    cluster.stop().await.unwrap();
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn a_path_with_odd_characters_works() {
    let folder = open_folder();
    let data_dir = folder.path().join("a \"b\" c=d&e'ü%");
    let cluster = start(&data_dir).await;
    assert_eq!(query(&cluster.url(), "select 1"), "1");
}

#[tokio::test]
async fn nobody_else_may_enter_the_cluster_or_its_socket() {
    let folder = open_folder();
    let _cluster = start(folder.path()).await;
    for name in ["cluster", "socket"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{name}");
    }
}

#[tokio::test]
async fn as_root_a_directory_the_server_cannot_reach_is_refused_with_a_way_out() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();

    let refusal = Cluster::start(options(closed.join("postgres"))).await.unwrap_err();
    let blocked = fs::canonicalize(&closed).unwrap();
    assert!(
        matches!(&refusal, Error::NotTraversable { blocked: at, .. } if *at == blocked),
        "{refusal}"
    );
    assert!(refusal.to_string().contains("choose a data directory"), "{refusal}");
}

#[tokio::test]
async fn as_root_an_empty_directory_only_root_may_enter_is_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = start(folder.path()).await;
    assert_eq!(query(&cluster.url(), "select 1"), "1");
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_refused_and_left_alone() {
    let folder = open_folder();
    start(folder.path()).await.stop().await.unwrap();
    let version = folder.path().join("cluster/PG_VERSION");
    fs::write(&version, "9\n").unwrap();

    let refusal = Cluster::start(options(folder.path())).await.unwrap_err();
    assert!(matches!(&refusal, Error::OtherVersion { made_by, .. } if made_by == "9"), "{refusal}");
    assert_eq!(fs::read_to_string(version).unwrap(), "9\n");
}
