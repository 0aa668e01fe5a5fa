//! HTTP: limits, malformed requests, health, pages, scenarios.

use std::sync::Arc;

use api::{Check, Scenarios};
use futures::StreamExt;
use serde_json::json;
use tokio::sync::Notify;

use crate::support::{Api, Choices, code, must, sent};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_the_shape_of_graphql() {
    let api = Api::start().await;
    let query = "#".repeat(10 << 20);
    let (status, body) = sent(api.post().json(&json!({ "query": query }))).await;
    assert_eq!((status, code(&body)), (413, "PAYLOAD_TOO_LARGE"), "{body:#}");
}

#[tokio::test]
async fn what_is_not_json_is_a_bad_request() {
    let api = Api::start().await;
    for body in ["{", "", "[]", "42", "[{\"query\":\"{ __typename }\"}]"] {
        let request = api.post().header("content-type", "application/json").body(body);
        let (status, answer) = sent(request).await;
        assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"), "{body}: {answer:#}");
    }
    let (status, answer) = sent(api.post().body("query=x")).await;
    assert_eq!((status, code(&answer)), (415, "UNSUPPORTED_MEDIA_TYPE"), "{answer:#}");
}

#[tokio::test]
async fn what_is_not_graphql_is_a_bad_request() {
    let api = Api::start().await;
    for query in ["", "{", "{ nonsense }", "query a { __typename } query b { __typename }"] {
        let (status, body) = api.ask(query, json!({})).await;
        assert_eq!((status, code(&body)), (400, "BAD_REQUEST"), "{query}: {body:#}");
    }
    let (status, body) =
        api.ask("subscription { orderChanged(id: \"x\") { id } }", json!({})).await;
    assert_eq!((status, code(&body)), (400, "BAD_REQUEST"), "{body:#}");
    let page = "{ orders(first: 101) { nodes { id } } }";
    assert_eq!(code(&api.ask(page, json!({})).await.1), "BAD_REQUEST");
}

#[tokio::test]
async fn a_bomb_of_fragments_is_refused_before_it_goes_off() {
    let api = Api::start().await;
    let doubling = (0..30).fold(String::new(), |text, n| {
        text + &format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1)
    });
    let bomb = format!("{{ ...f0 }} {doubling} fragment f30 on Query {{ __typename }}");
    let (status, body) = api.ask(&bomb, json!({})).await;
    assert_eq!((status, code(&body)), (400, "QUERY_TOO_EXPENSIVE"), "{body:#}");

    let aliases = hundred_aliases();
    let (status, body) = api.ask(&format!("{{ {aliases} }}"), json!({})).await;
    assert_eq!((status, code(&body)), (400, "QUERY_TOO_EXPENSIVE"), "{body:#}");

    let deep = "{ ".repeat(5_000);
    let (status, body) = api.ask(&deep, json!({})).await;
    assert_eq!((status, code(&body)), (400, "BAD_REQUEST"), "{body:#}");
}

/// More than may be.
pub(crate) fn hundred_aliases() -> String {
    (0..100).fold(String::new(), |text, n| text + &format!("a{n}: __typename "))
}

#[tokio::test]
async fn an_explorer_can_read_the_whole_schema() {
    let api = Api::start().await;
    let of_type =
        (0..9).fold("kind name".to_owned(), |inner, _| format!("kind name ofType {{ {inner} }}"));
    let query = format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name }} mutationType {{ name }}
            subscriptionType {{ name }} types {{ ...FullType }}
            directives {{ name description locations args {{ ...InputValue }} }} }} }}
        fragment FullType on __Type {{ kind name description
            fields(includeDeprecated: true) {{ name description args {{ ...InputValue }}
                type {{ ...TypeRef }} isDeprecated deprecationReason }}
            inputFields {{ ...InputValue }} interfaces {{ ...TypeRef }}
            enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
            possibleTypes {{ ...TypeRef }} }}
        fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }}
        fragment TypeRef on __Type {{ {of_type} }}"
    );
    let schema = api.data(&query, json!({})).await;
    assert!(schema["__schema"]["types"].as_array().unwrap().len() > 30);
}

#[tokio::test]
async fn a_browser_that_opens_the_address_is_sent_to_the_explorer() {
    let api = Api::start().await;
    let answer = must(api.get("/graphql").header("accept", "text/html,*/*").send()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (303, &"/explorer".parse().unwrap())
    );
    let (status, body) = sent(api.get("/graphql")).await;
    assert_eq!((status, code(&body)), (405, "METHOD_NOT_ALLOWED"));

    for page in ["/", "/explorer"] {
        let answer = must(api.get(page).send()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{page}");
        let html = answer.text().await.unwrap();
        for elsewhere in ["src=\"http", "href=\"http", "@import", "url(http"] {
            assert!(!html.contains(elsewhere), "{page} loads something from elsewhere");
        }
    }
    let (status, body) = sent(api.get("/nothing/here")).await;
    assert_eq!((status, code(&body)), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn readiness_lists_what_is_red() {
    let sick = Check::new("projector", || async { Err::<(), _>("it has stopped") });
    let stuck = Check::new("fulfilment", || async {
        std::future::pending::<()>().await;
        Ok::<(), String>(())
    });
    let well = Check::new("mail", || async { Ok::<(), String>(()) });
    let api =
        Api::start_with(Choices { checks: vec![sick, stuck, well], ..Choices::default() }).await;

    let (status, body) = sent(api.get("/health/live")).await;
    assert_eq!((status, body), (200, json!({ "live": true })));

    let (status, body) = sent(api.get("/health/ready")).await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)), "{body:#}");
    let red: Vec<_> = body["red"].as_array().unwrap().iter().map(|red| &red["check"]).collect();
    assert_eq!(red, ["postgres", "projector", "fulfilment"]);
    assert_eq!(body["red"][1]["reason"], "it has stopped");
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_server_stops() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (begun.clone(), go_on.clone());
    let slow = Check::new("slow", move || {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            tell.notify_one();
            wait.notified().await;
            Ok::<(), String>(())
        }
    });
    let api = Api::start_with(Choices { checks: vec![slow], ..Choices::default() }).await;
    let request = api.get("/health/ready");
    let stop = async {
        begun.notified().await;
        api.shut_down();
        go_on.notify_one();
        api.stop().await;
    };
    let ((status, _), ()) = tokio::join!(sent(request), stop);
    assert_eq!(status, 503, "only Postgres is red, but that it is");
}

#[tokio::test]
async fn a_query_that_asks_for_too_much_is_refused() {
    let api = Api::start().await;
    let page = "orders(first: 100) { nodes { id lines { sku title kind quantity } } \
                edges { node { id lines { sku title kind quantity } } } }";
    let query = format!("{{ a: {page} b: {page} c: {page} d: {page} e: {page} f: {page} }}");
    let (status, body) = api.ask(&query, json!({})).await;
    assert_eq!((status, code(&body)), (400, "BAD_REQUEST"), "{body:#}");
    assert!(body.to_string().contains("too complex"), "{body:#}");
}

#[tokio::test]
async fn a_full_page_of_orders_with_their_lines_may_be_asked_for_but_not_with_them_again_and_again()
{
    let api = Api::start().await;
    let lines = |n: u8| {
        format!(
            "l{n}: lines {{ index sku title kind quantity cancelled backordered shipped delivered \
             returned refunded unitPrice {{ amount }} total {{ amount }} }} "
        )
    };
    let page = |lines: &str| {
        format!(
            "{{ orders(first: 100) {{ nodes {{ id number channel externalReference customer country \
             tags version placedAt updatedAt status paymentStatus fulfilmentStatus returnStatus \
             currencyCode total {{ amount }} captured {{ amount }} refunded {{ amount }} \
             outstanding {{ amount }} {lines} }} }} }}"
        )
    };
    let (_, body) = api.ask(&page(&lines(0)), json!({})).await;
    assert!(!body.to_string().contains("too complex"), "{body:#}");
    let (_, body) = api.ask(&page(&(lines(0) + &lines(1))), json!({})).await;
    assert!(body.to_string().contains("too complex"), "{body:#}");
}

#[tokio::test]
async fn scenarios_tell_their_lines_and_only_where_they_are_offered() {
    let none = Api::start().await;
    assert_eq!(sent(none.get("/scenario/1")).await.0, 404);

    let run = |number| {
        let lines = ["first".to_owned(), "second".to_owned()];
        (number == 1).then(|| futures::stream::iter(lines).boxed())
    };
    let titles = vec![(1, "A sale goes well".to_owned())];
    let scenarios = Some(Scenarios { titles, run: Arc::new(run) });
    let api = Api::start_with(Choices { scenarios, ..Choices::default() }).await;

    let told = must(api.get("/scenario/1").send()).await.unwrap();
    assert_eq!(told.text().await.unwrap(), "first\nsecond\n");
    for unknown in ["/scenario/2", "/scenario/x"] {
        let answer = must(api.get(unknown).send()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 404);
        assert!(answer.text().await.unwrap().contains("A sale goes well"));
    }
}

#[tokio::test]
async fn what_fails_because_the_event_store_is_gone_may_be_tried_again() {
    let api = Api::start_with(Choices::default()).await;
    api.receive(&["MUG"], 10).await;
    must(api.store.stop()).await;
    let input = crate::support::two_mugs("k");
    let (_, body) = api.ask(crate::support::ORDER_PLACE, json!({ "input": input })).await;
    assert_eq!(code(&body), "UNAVAILABLE", "{body:#}");
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("same idempotency key"), "{message}");
}
