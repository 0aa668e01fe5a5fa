//! Users: how they are managed, and that they get in.

use embedded_store::{Authentication, Error, Options, serve};
use eventstore::operations::OperationalOptions;
use eventstore::{ExpectedRevision, ReadStreamOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use super::users_client::{Details, UsersClient};
use super::{
    ADMIN, ANN, OPS, authentication, client, guarded_at, is_denied, read_log, server_with_ann,
};
use crate::harness::{append, events, read, soon, start};

async fn may_append(server: &embedded_store::Server, credentials: &str) -> bool {
    let client = client(server, credentials);
    let appended = append(&client, "s", ExpectedRevision::Any, events(0..1)).await;
    assert!(appended.is_ok() || is_denied(&appended), "{appended:?}");
    appended.is_ok()
}

fn trailer(status: &Status, name: &str) -> String {
    status.metadata().get(name).unwrap().to_str().unwrap().to_owned()
}

fn names(details: &[Details]) -> Vec<&str> {
    details.iter().map(|user| &*user.login_name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_store_has_an_administrator_and_an_operator() {
    let server = start(super::guarded()).await;
    let users = UsersClient::connect(&server, ADMIN).await;
    let found = users.details("").await.unwrap();
    assert_eq!(names(&found), ["admin", "ops"]);
    assert_eq!(found[0].groups, ["$admins"]);
    assert_eq!(found[1].groups, ["$ops"]);
    assert!(may_append(&server, OPS).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_manages_users_also_where_nobody_is_asked() {
    let store = crate::harness::store().await;
    let operations = eventstore::operations::Client::from(store.client);
    let options = OperationalOptions::default();
    soon(async {
        let groups = || vec!["readers".to_owned()];
        operations.create_user("ann", "one", "Ann", groups(), &options).await?;
        operations.update_user("ann", "one", "Ann Other", groups(), &options).await?;
        operations.disable_user("ann", &options).await?;
        operations.enable_user("ann", &options).await?;
        operations.change_user_password("ann", "one", "two", &options).await?;
        operations.reset_user_password("ann", "three", &options).await?;
        let mut described = operations.user_details("ann", &options).await?;
        let ann = described.next().await?.unwrap();
        assert_eq!((&*ann.full_name, ann.disabled), ("Ann Other", false));
        operations.delete_user("ann", &options).await?;
        Ok::<_, eventstore::Error>(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_created_described_changed_and_deleted() {
    let server = server_with_ann().await;
    let users = UsersClient::connect(&server, ADMIN).await;
    let ann = users.details("ann").await.unwrap().remove(0);
    assert_eq!((&*ann.full_name, &*ann.groups), ("Create ann", &["readers".to_owned()][..]));
    assert!(ann.last_updated.unwrap().since_epoch > 0 && !ann.disabled);
    users.update("ann", &["writers", "$admins"]).await.unwrap();
    let ann = users.details("ann").await.unwrap().remove(0);
    assert_eq!((&*ann.full_name, ann.groups.len()), ("Update ann", 2));
    read_log(&client(&server, ANN)).await.unwrap();
    users.change("Delete", ["ann"]).await.unwrap();
    assert!(!may_append(&server, ANN).await);
    assert_eq!(names(&users.details("").await.unwrap()), ["admin", "ops"]);
    users.create("ann", "three", &[]).await.unwrap();
    assert!(may_append(&server, "ann:three").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_does_not_get_in_until_it_is_enabled_again() {
    let server = server_with_ann().await;
    let users = UsersClient::connect(&server, ADMIN).await;
    assert!(may_append(&server, ANN).await);
    users.change("Disable", ["ann"]).await.unwrap();
    assert!(users.details("ann").await.unwrap()[0].disabled);
    assert!(!may_append(&server, ANN).await);
    users.change("Enable", ["ann"]).await.unwrap();
    assert!(may_append(&server, ANN).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_reset_by_administrators_and_changed_by_who_knows_them() {
    let server = server_with_ann().await;
    let users = UsersClient::connect(&server, ADMIN).await;
    users.change("ResetPassword", ["ann", "two"]).await.unwrap();
    assert!(!may_append(&server, ANN).await);
    let ann = users.by("ann:two");
    ann.change("ChangePassword", ["ann", "two", "three"]).await.unwrap();
    assert!(may_append(&server, "ann:three").await);
    let wrong = users.change("ChangePassword", ["ann", "two", "four"]).await.unwrap_err();
    assert_eq!(wrong.code(), Code::PermissionDenied);
    assert_eq!(trailer(&wrong, "exception"), "access-denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_so_as_clients_expect() {
    let server = server_with_ann().await;
    let users = UsersClient::connect(&server, ADMIN).await;
    for method in ["Delete", "Enable", "Disable", "ResetPassword", "ChangePassword"] {
        let unknown = users.change(method, ["bob"]).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound, "{method}");
        assert_eq!(trailer(&unknown, "exception"), "user-not-found");
        assert_eq!(trailer(&unknown, "login-name"), "bob");
    }
    assert_eq!(users.details("bob").await.unwrap_err().code(), Code::NotFound);
    users.create("ann", "one", &[]).await.unwrap();
    let taken = users.create("ann", "other", &[]).await.unwrap_err();
    assert_eq!(taken.code(), Code::FailedPrecondition);
    assert_eq!(trailer(&taken, "exception"), "user-conflict");
    assert_eq!(trailer(&taken, "login-name"), "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_manage_users() {
    let server = server_with_ann().await;
    let admin = UsersClient::connect(&server, ADMIN).await;
    for credentials in [ANN, OPS, ""] {
        let users = admin.by(credentials);
        let refused = [
            users.create("eve", "x", &["$admins"]).await,
            users.update("ann", &["$admins"]).await,
            users.change("Delete", ["admin"]).await,
            users.change("Disable", ["admin"]).await,
            users.change("Enable", ["admin"]).await,
            users.change("ResetPassword", ["admin", "x"]).await,
            users.details("admin").await.map(drop),
            users.details("").await.map(drop),
        ];
        for refused in refused {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{credentials}");
            assert_eq!(trailer(&refused, "exception"), "access-denied");
        }
    }
    assert_eq!(names(&admin.by(ANN).details("ann").await.unwrap()), ["ann"]);
    let wrong = admin.by("ann:wrong").details("ann").await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_users_and_their_passwords() {
    let directory = TempDir::new().unwrap();
    let first = start(guarded_at(directory.path())).await;
    let users = UsersClient::connect(&first, ADMIN).await;
    users.create("ann", "one", &[]).await.unwrap();
    users.change("ResetPassword", ["admin", "secret"]).await.unwrap();
    drop(users);
    soon(first.stop()).await;
    // The password of the options is for a new store only, and not needed any more.
    let without = Authentication { admin_password: None, ..authentication() };
    let options = Options { authentication: Some(without), ..guarded_at(directory.path()) };
    let second = start(options).await;
    assert!(may_append(&second, ANN).await);
    assert!(may_append(&second, "admin:secret").await);
    assert!(!may_append(&second, ADMIN).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_store_does_not_start_without_a_password_for_its_administrator() {
    let directory = TempDir::new().unwrap();
    let options =
        Options { authentication: Some(Authentication::default()), ..guarded_at(directory.path()) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = serve(listener, options).await;
    assert!(matches!(refused, Err(Error::NoAdmin)), "{refused:?}");
    // It lets go of the directory.
    start(guarded_at(directory.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_printed() {
    let server = server_with_ann().await;
    let printed = format!("{server:?} {:?}", super::guarded());
    assert!(!printed.contains("changeit"), "{printed}");
    let stored = read(&client(&server, ADMIN), "$user-admin", &ReadStreamOptions::default()).await;
    let stored = String::from_utf8_lossy(&stored.unwrap()[0].data).into_owned();
    assert!(stored.contains("$argon2id$") && !stored.contains("changeit"), "{stored}");
}
