//! Starting, stopping and finding clusters while nothing goes wrong.

use private_postgres::{Cluster, Error};

use crate::support::{Other, eventually, is_alive, open_folder, options, query, start};

#[tokio::test]
async fn a_first_start_creates_the_database_and_a_restart_keeps_its_data() {
    let folder = open_folder();
    let data_dir = folder.path().join("new/postgres");

    let cluster = start(&data_dir).await;
    query(&cluster.url(), "create table kept (n int); insert into kept values (42)");
    cluster.stop().await.unwrap();

    let cluster = start(&data_dir).await;
    assert_eq!(query(&cluster.url(), "select n from kept"), "42");
}

#[tokio::test]
async fn the_url_leads_to_the_database_as_its_owner_with_text_in_utf_8() {
    let cluster = Cluster::temporary().await.unwrap();
    let answer = query(
        &cluster.url(),
        "select current_database(), current_user, current_setting('server_encoding'), \
         current_setting('timezone'), (select rolsuper from pg_roles where rolname = current_user)",
    );
    assert_eq!(answer, "orderstore|orderstore|UTF8|UTC|t");
}

#[tokio::test]
async fn the_server_listens_on_no_network_address() {
    let cluster = Cluster::temporary().await.unwrap();
    assert_eq!(query(&cluster.url(), "show listen_addresses"), "");
}

#[tokio::test]
async fn only_a_cluster_that_is_not_for_tests_is_durable() {
    let folder = open_folder();
    let mut durable = options(folder.path().join("durable"));
    durable.durable = true;
    durable.max_connections = 33;

    let cluster = Cluster::start(durable).await.unwrap();
    let settings = "select current_setting('fsync'), current_setting('max_connections')";
    assert_eq!(query(&cluster.url(), settings), "on|33");
    let temporary = Cluster::temporary().await.unwrap();
    assert_eq!(query(&temporary.url(), settings), "off|200");
}

#[tokio::test]
async fn two_clusters_run_side_by_side() {
    let folder = open_folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let (one, two) = tokio::join!(start(&one), start(&two));

    query(&one.url(), "create table only_in_one ()");
    let tables = "select count(*) from pg_tables where tablename = 'only_in_one'";
    assert_eq!(query(&one.url(), tables), "1");
    assert_eq!(query(&two.url(), tables), "0");
}

#[tokio::test]
async fn a_second_start_on_the_same_directory_names_the_process_that_uses_it() {
    let folder = open_folder();
    let mut other = Other::run("support::run_a_cluster_as_another_process", folder.path());
    let server: i32 = other.says("server=").parse().unwrap();

    let refusal = Cluster::start(options(folder.path())).await.unwrap_err();
    let holder = other.pid();
    assert!(matches!(refusal, Error::InUse { pid: Some(pid), .. } if pid == holder), "{refusal}");
    assert!(refusal.to_string().contains(&format!("in use by process {holder}")), "{refusal}");
    assert!(is_alive(server), "the refused start must not disturb the running server");
    other.finish();
}

#[tokio::test]
async fn other_processes_find_the_cluster_while_it_runs_and_only_then() {
    let folder = open_folder();
    assert_eq!(Cluster::url_of_running(folder.path()), None);

    let mut other = Other::run("support::run_a_cluster_as_another_process", folder.path());
    other.says("server=");
    // The pid file says "ready" a moment after the first connection is accepted.
    eventually("the cluster is found", || Cluster::url_of_running(folder.path()).is_some()).await;
    let url = Cluster::url_of_running(folder.path()).unwrap();
    assert_eq!(query(&url, "select 1"), "1");

    other.finish();
    eventually("the server ends", || Cluster::url_of_running(folder.path()).is_none()).await;
}

#[tokio::test]
async fn a_dropped_cluster_shuts_down() {
    let folder = open_folder();
    let cluster = start(folder.path()).await;
    let exited = cluster.exited();
    drop(cluster);
    assert!(exited.await.success());
}

#[tokio::test]
async fn stopping_does_not_wait_for_clients_to_leave() {
    let cluster = Cluster::temporary().await.unwrap();
    let url = cluster.url();
    let client = std::thread::spawn(move || {
        std::panic::catch_unwind(|| query(&url, "select pg_sleep(600)")).is_err()
    });
    let sleeping = "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'";
    eventually("the client is busy", || query(&cluster.url(), sleeping) == "1").await;

    cluster.stop().await.unwrap();
    assert!(client.join().unwrap(), "the client must have been disconnected");
}

#[tokio::test]
async fn a_temporary_cluster_is_removed_when_dropped() {
    let cluster = Cluster::temporary().await.unwrap();
    let (folder, server) = (cluster.data_dir().to_owned(), cluster.pid());
    drop(cluster);
    assert!(!folder.exists());
    assert!(!is_alive(server));
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_running() {
    let folder = open_folder();
    start(folder.path()).await.stop().await.unwrap();

    let given_up = tokio::select! {
        biased;
        started = Cluster::start(options(folder.path())) => started.err().map(|e| e.to_string()),
        () = std::future::ready(()) => None,
    };
    assert_eq!(given_up, None);
    // Either it is gone already, or this start stops it first.
    start(folder.path()).await.stop().await.unwrap();
    assert_eq!(Cluster::url_of_running(folder.path()), None);
}
