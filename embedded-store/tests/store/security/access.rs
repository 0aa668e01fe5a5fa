//! What access lists let callers do.

use embedded_store::{Authentication, Options};
use eventstore::{
    BatchAppendOptions, Client, DeleteStreamOptions, EventData, ExpectedRevision,
    PersistentSubscriptionOptions, ReadStreamOptions, StreamPosition, SubscribeToAllOptions,
    SubscribeToPersistentSubscriptionOptions, SubscribeToStreamOptions, SubscriptionEvent,
};

use super::users_client::UsersClient;
use super::{
    ADMIN, ANN, OPS, anonymous, authentication, client, guarded, is_denied, read_log,
    server_with_ann, set_list,
};
use crate::harness::{append, event, events, number, read, soon, start, store};

async fn add(client: &Client, stream: &str) -> eventstore::Result<()> {
    append(client, stream, ExpectedRevision::Any, events(0..1)).await.map(drop)
}

async fn see(client: &Client, stream: &str) -> eventstore::Result<()> {
    read(client, stream, &ReadStreamOptions::default()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_unless_the_options_say_so() {
    let store = store().await;
    set_list(&store.client, "s", "ann", "ann").await;
    let nobody = client(&store.server, "nobody:nothing");
    add(&nobody, "s").await.unwrap();
    see(&nobody, "s").await.unwrap();
    add(&nobody, "$s").await.unwrap();
    read_log(&nobody).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_login_or_password_gets_nowhere() {
    let server = server_with_ann().await;
    for credentials in ["ann:two", "bob:one", "admin:one"] {
        let client = client(&server, credentials);
        assert!(is_denied(&add(&client, "s").await), "{credentials}");
        assert!(is_denied(&see(&client, "s").await), "{credentials}");
        assert!(is_denied(&read_log(&client).await), "{credentials}");
        let deleted = soon(client.delete_stream("s", &DeleteStreamOptions::default())).await;
        assert!(is_denied(&deleted), "{credentials}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_a_client_connects_and_sees_nothing() {
    let server = start(guarded()).await;
    let client = anonymous(&server);
    soon(client.server_info()).await.unwrap();
    assert!(is_denied(&add(&client, "s").await));
    assert!(is_denied(&see(&client, "s").await));
    assert!(is_denied(&read_log(&client).await));
    let discover = server.connection_string().replace("esdb://", "esdb+discover://");
    let client = Client::new(discover.parse().unwrap()).unwrap();
    assert!(is_denied(&add(&client, "s").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_can_be_opened_to_everybody_as_far_as_their_lists_allow() {
    let open = Authentication { anonymous_streams: true, ..authentication() };
    let server = start(Options { authentication: Some(open), ..Options::temporary() }).await;
    let anonymous = anonymous(&server);
    add(&anonymous, "s").await.unwrap();
    see(&anonymous, "s").await.unwrap();
    assert!(is_denied(&read_log(&anonymous).await));
    set_list(&client(&server, ADMIN), "s", "$all", "ann").await;
    see(&anonymous, "s").await.unwrap();
    assert!(is_denied(&add(&anonymous, "s").await));
    assert!(is_denied(&add(&client(&server, "ann:wrong"), "t").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_decides_who_reads_and_who_writes() {
    let server = server_with_ann().await;
    let (admin, ann, ops) = (client(&server, ADMIN), client(&server, ANN), client(&server, OPS));
    add(&ann, "s").await.unwrap();
    set_list(&admin, "s", "readers", "ops").await;
    see(&ann, "s").await.unwrap();
    assert!(is_denied(&add(&ann, "s").await));
    add(&ops, "s").await.unwrap();
    assert!(is_denied(&see(&ops, "s").await));
    see(&admin, "s").await.unwrap();
    add(&admin, "s").await.unwrap();
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut subscription = ops.subscribe_to_stream("s", &options).await;
    assert!(is_denied(&soon(subscription.next()).await));
    set_list(&admin, "s", "ops", "readers").await;
    see(&ops, "s").await.unwrap();
    add(&ann, "s").await.unwrap();
    assert!(is_denied(&see(&ann, "s").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_decides_who_deletes_and_who_sees_and_changes_metadata() {
    let server = server_with_ann().await;
    let (admin, ann) = (client(&server, ADMIN), client(&server, ANN));
    add(&ann, "s").await.unwrap();
    set_list(&admin, "s", "ann", "ann").await;
    let delete = DeleteStreamOptions::default();
    assert!(is_denied(&soon(ann.delete_stream("s", &delete)).await));
    assert!(is_denied(&see(&ann, "$$s").await));
    assert!(is_denied(&add(&ann, "$$s").await));
    see(&admin, "$$s").await.unwrap();
    soon(admin.delete_stream("s", &delete)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_system_streams_are_for_administrators_unless_a_list_opens_them() {
    let server = server_with_ann().await;
    let (admin, ann) = (client(&server, ADMIN), client(&server, ANN));
    read_log(&admin).await.unwrap();
    assert!(is_denied(&read_log(&ann).await));
    assert!(is_denied(&read_log(&client(&server, OPS)).await));
    let mut subscription = ann.subscribe_to_all(&SubscribeToAllOptions::default()).await;
    assert!(is_denied(&soon(subscription.next()).await));
    assert!(is_denied(&see(&ann, "$users").await));
    assert!(is_denied(&see(&ann, "$user-admin").await));
    assert!(is_denied(&add(&ann, "$users").await));
    set_list(&admin, "$all", "ann", "$admins").await;
    read_log(&ann).await.unwrap();
    set_list(&admin, "$mine", "ann", "ann").await;
    add(&ann, "$mine").await.unwrap();
    see(&ann, "$mine").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_lists_can_be_changed() {
    let server = server_with_ann().await;
    let (admin, ann) = (client(&server, ADMIN), client(&server, ANN));
    let lists = serde_json::json!({
        "$userStreamAcl": { "$r": "$all", "$w": "ops", "$d": "ops", "$mr": "ops", "$mw": "ops" },
        "$systemStreamAcl": { "$r": ["ann", "$admins"] },
    });
    let settings = EventData::json("$settings", &lists).unwrap();
    append(&admin, "$settings", ExpectedRevision::Any, vec![settings]).await.unwrap();
    assert!(is_denied(&add(&ann, "s").await));
    add(&client(&server, OPS), "s").await.unwrap();
    see(&ann, "s").await.unwrap();
    see(&ann, "$users").await.unwrap();
    assert!(is_denied(&add(&ann, "$users").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_append_of_a_batch_is_not_written_and_the_others_are() {
    let server = server_with_ann().await;
    let (admin, ann) = (client(&server, ADMIN), client(&server, ANN));
    set_list(&admin, "closed", "$admins", "$admins").await;
    let batches = soon(ann.batch_append(&BatchAppendOptions::default())).await.unwrap();
    soon(batches.append_to_stream("open", ExpectedRevision::Any, vec![event(1)])).await.unwrap();
    let refused = batches.append_to_stream("closed", ExpectedRevision::Any, vec![event(2)]);
    soon(refused).await.unwrap_err();
    let written = read(&admin, "open", &ReadStreamOptions::default()).await.unwrap();
    assert_eq!(written.iter().map(number).collect::<Vec<_>>(), [1]);
    let written = read(&admin, "closed", &ReadStreamOptions::default()).await;
    assert!(matches!(written, Err(eventstore::Error::ResourceNotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_unknown_caller_ends() {
    let server = start(guarded()).await;
    for stranger in [anonymous(&server), client(&server, "ann:one")] {
        let refused = soon(async {
            let batches = stranger.batch_append(&BatchAppendOptions::default()).await?;
            batches.append_to_stream("s", ExpectedRevision::Any, vec![event(1)]).await
        });
        refused.await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_not_followed_to_where_its_reader_may_not_go() {
    let server = server_with_ann().await;
    let (admin, ann) = (client(&server, ADMIN), client(&server, ANN));
    append(&admin, "open", ExpectedRevision::Any, events(0..1)).await.unwrap();
    let link = |target: &'static str| EventData::binary("$>", target.into());
    let links = vec![link("0@open"), link("0@$user-admin")];
    append(&ann, "links", ExpectedRevision::Any, links).await.unwrap();
    let resolved = async |client: Client| {
        let options = ReadStreamOptions::default().resolve_link_tos();
        let mut events = client.read_stream("links", &options).await.unwrap();
        let mut targets = Vec::new();
        while let Some(event) = events.next().await.unwrap() {
            targets.push(event.event.map(|event| event.stream_id));
        }
        targets
    };
    assert_eq!(soon(resolved(ann)).await, [Some("open".to_owned()), None]);
    let all = [Some("open".to_owned()), Some("$user-admin".to_owned())];
    assert_eq!(soon(resolved(admin)).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_counts_on_connections_that_are_open() {
    let server = server_with_ann().await;
    let ann = client(&server, ANN);
    add(&ann, "s").await.unwrap();
    let users = UsersClient::connect(&server, ADMIN).await;
    users.change("ResetPassword", ["ann", "two"]).await.unwrap();
    assert!(is_denied(&add(&ann, "s").await));
    users.change("ResetPassword", ["ann", "one"]).await.unwrap();
    add(&ann, "s").await.unwrap();
}

/// Waits for the end of a subscription that its reader may not have any more.
async fn ended(subscription: &mut eventstore::Subscription) -> eventstore::Error {
    soon(async {
        loop {
            match subscription.next_subscription_event().await {
                Ok(SubscriptionEvent::EventAppeared(event)) => panic!("{event:?}"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_when_its_reader_may_not_read_any_more() {
    let server = server_with_ann().await;
    let (admin, ann) = (client(&server, ADMIN), client(&server, ANN));
    set_list(&admin, "s", "ann", "ann").await;
    add(&admin, "s").await.unwrap();
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut of_ann = ann.subscribe_to_stream("s", &options).await;
    assert_eq!(number(soon(of_ann.next()).await.unwrap().get_original_event()), 0);
    let mut of_admin = admin.subscribe_to_stream("s", &options).await;
    soon(of_admin.next()).await.unwrap();

    set_list(&admin, "s", "$admins", "$admins").await;
    append(&admin, "s", ExpectedRevision::Any, events(7..8)).await.unwrap();
    let error = ended(&mut of_ann).await;
    assert!(matches!(error, eventstore::Error::AccessDenied), "{error}");
    assert_eq!(number(soon(of_admin.next()).await.unwrap().get_original_event()), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_its_password_though_nothing_is_written_to_its_stream() {
    let server = server_with_ann().await;
    let ann = client(&server, ANN);
    add(&ann, "s").await.unwrap();
    let options = SubscribeToStreamOptions::default().start_from(StreamPosition::Start);
    let mut subscription = ann.subscribe_to_stream("s", &options).await;
    soon(subscription.next()).await.unwrap();
    let users = UsersClient::connect(&server, ADMIN).await;
    users.change("ResetPassword", ["ann", "two"]).await.unwrap();
    ended(&mut subscription).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_ends_when_it_may_not_consume_any_more_and_another_gets_its_messages() {
    let server = server_with_ann().await;
    let (admin, ann) = (client(&server, ADMIN), client(&server, ANN));
    set_list(&admin, "s", "ann", "ann").await;
    let options = PersistentSubscriptionOptions::default().start_from(StreamPosition::Start);
    soon(admin.create_persistent_subscription("s", "g", &options)).await.unwrap();
    add(&admin, "s").await.unwrap();
    let options = SubscribeToPersistentSubscriptionOptions::default();
    let mut consumer =
        soon(ann.subscribe_to_persistent_subscription("s", "g", &options)).await.unwrap();
    soon(consumer.next()).await.unwrap();
    set_list(&admin, "s", "$admins", "$admins").await;
    let ended = soon(consumer.next()).await;
    assert!(is_denied(&ended.map(drop)));
    let mut other =
        soon(admin.subscribe_to_persistent_subscription("s", "g", &options)).await.unwrap();
    let event = soon(other.next()).await.unwrap();
    assert_eq!(number(event.get_original_event()), 0);
}
