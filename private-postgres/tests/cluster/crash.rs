//! Every process may be killed at any instant; the next start works and the data is there.

use std::fs;

use private_postgres::Cluster;

use crate::support::{Other, eventually, is_alive, kill, open_folder, options, query, start};

#[tokio::test]
async fn a_killed_server_is_noticed_and_the_next_start_recovers() {
    let folder = open_folder();
    let cluster = start(folder.path()).await;
    query(&cluster.url(), "create table kept (n int); insert into kept values (42)");

    kill(cluster.pid());
    assert!(!cluster.exited().await.success());
    assert!(folder.path().join("cluster/postmaster.pid").exists(), "a stale pid file is the point");
    drop(cluster);

    let cluster = start(folder.path()).await;
    assert_eq!(query(&cluster.url(), "select n from kept"), "42");
}

#[tokio::test]
async fn the_server_of_a_killed_process_ends_by_itself() {
    let folder = open_folder();
    let mut other = Other::run("support::run_a_cluster_as_another_process", folder.path());
    let server: i32 = other.says("server=").parse().unwrap();

    other.kill();
    eventually("the server ends", || !is_alive(server) || is_zombie(server)).await;
}

#[tokio::test]
async fn a_start_right_after_a_kill_takes_over() {
    let folder = open_folder();
    let mut other = Other::run("support::run_a_cluster_as_another_process", folder.path());
    other.says("server=");
    eventually("the cluster is found", || Cluster::url_of_running(folder.path()).is_some()).await;
    let url = Cluster::url_of_running(folder.path()).unwrap();
    query(&url, "create table kept (n int); insert into kept values (42)");
    other.kill();

    let cluster = start(folder.path()).await;
    assert_eq!(query(&cluster.url(), "select n from kept"), "42");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_outlived_its_process_and_its_watcher_is_stopped_by_the_next_start() {
    let folder = open_folder();
    let mut other = Other::run("support::run_a_cluster_as_another_process", folder.path());
    let server: i32 = other.says("server=").parse().unwrap();
    eventually("the cluster is found", || Cluster::url_of_running(folder.path()).is_some()).await;
    let parent = i32::try_from(other.pid()).unwrap();
    for watcher in children_of(parent).into_iter().filter(|pid| *pid != server) {
        kill(watcher);
    }
    other.kill();
    assert!(Cluster::url_of_running(folder.path()).is_some(), "the server must still run");

    let cluster = start(folder.path()).await;
    assert_ne!(cluster.pid(), server);
    assert!(!is_alive(server) || is_zombie(server));
    assert_eq!(query(&cluster.url(), "select 1"), "1");
}

#[tokio::test]
async fn a_stale_pid_that_now_belongs_to_another_server_harms_neither() {
    let folder = open_folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let bystander = start(&one).await;
    let cluster = start(&two).await;
    kill(cluster.pid());
    cluster.exited().await;
    drop(cluster);

    let pid_file = two.join("cluster/postmaster.pid");
    let stale = fs::read_to_string(&pid_file).unwrap();
    let (_, rest) = stale.split_once('\n').unwrap();
    fs::write(&pid_file, format!("{}\n{rest}", bystander.pid())).unwrap();

    let cluster = start(&two).await;
    assert_eq!(query(&cluster.url(), "select 1"), "1");
    assert_eq!(query(&bystander.url(), "select 1"), "1");
}

#[tokio::test]
async fn an_interrupted_creation_is_begun_again() {
    let folder = open_folder();
    start(folder.path()).await.stop().await.unwrap();
    fs::rename(folder.path().join("cluster"), folder.path().join("cluster.new")).unwrap();
    fs::remove_file(folder.path().join("cluster.new/PG_VERSION")).unwrap();

    let cluster = start(folder.path()).await;
    assert_eq!(query(&cluster.url(), "select 1"), "1");
}

#[tokio::test]
async fn a_temporary_cluster_goes_with_a_process_that_never_dropped_it() {
    let folder = open_folder();
    let mut other =
        Other::run("support::leak_a_temporary_cluster_as_another_process", folder.path());
    let leaked = std::path::PathBuf::from(other.says("folder="));
    assert!(leaked.exists());

    other.finish();
    eventually("the leaked folder is gone", || !leaked.exists()).await;
}

#[tokio::test]
async fn a_server_that_cannot_start_is_quoted() {
    let folder = open_folder();
    start(folder.path()).await.stop().await.unwrap();
    let configuration = folder.path().join("cluster/postgresql.conf");
    let valid = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, format!("{valid}\nno_such_setting = 1\n")).unwrap();

    let text = Cluster::start(options(folder.path())).await.unwrap_err().to_string();
    assert!(text.contains("no_such_setting") && text.contains("postgres.log"), "{text}");
}

/// Ended, but nobody has waited for it: what becomes of orphans depends on process 1.
fn is_zombie(pid: i32) -> bool {
    stat_fields(pid).is_some_and(|fields| fields.starts_with('Z'))
}

#[cfg(target_os = "linux")]
fn children_of(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let fields = stat_fields(*pid).unwrap_or_default();
            fields.split(' ').nth(1) == Some(parent.to_string().as_str())
        })
        .collect()
}

/// State, parent and more: what follows the name in brackets.
fn stat_fields(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}
