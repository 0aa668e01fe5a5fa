//! What `/metrics` says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::acting::Acting;
use crate::support::{Api, Whole, must, two_mugs};

/// The samples, by name and labels.
async fn metrics(api: &Api) -> (u16, BTreeMap<String, f64>) {
    let answer = must(api.get("/metrics").send()).await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let samples = text.lines().filter(|line| status == 200 && !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    (status, samples.collect())
}

fn sum(samples: &BTreeMap<String, f64>, name: &str, label: &str) -> f64 {
    let of_it = |key: &str| key.starts_with(&format!("{name}{{")) && key.contains(label);
    samples.iter().filter(|(key, _)| of_it(key)).map(|(_, value)| value).sum()
}

#[tokio::test]
async fn metrics_say_how_far_projections_are_and_what_has_happened_to_them() {
    let whole = Whole::start().await;
    let api = &whole.api;
    let order = Acting::on(api, two_mugs("k")).await;
    let at = api.journal.head().await.unwrap();
    let orders = projector::read_model::ProjectionName::Orders;
    let reader = projector::read_model::Reader::connect_lazy(&whole.postgres.url()).unwrap();
    for name in projector::read_model::ProjectionName::ALL {
        assert!(
            must(reader.wait_for(name, at, crate::support::PATIENCE)).await.unwrap().is_there()
        );
    }
    let of_orders = format!("projection=\"{orders}\"");
    let events = f64::from(u32::try_from(order.version().await + 1).unwrap());
    // What was applied is counted with the next step.
    let samples = must(async {
        loop {
            let (status, samples) = metrics(api).await;
            assert_eq!(status, 200);
            let applied = sum(&samples, "orderstore_projection_events_applied_total", &of_orders);
            if applied >= events {
                return samples;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    for never in ["gaps_healed_total", "duplicates_dropped_total", "quarantined_streams"] {
        let name = format!("orderstore_projection_{never}");
        assert!(samples.keys().any(|key| key.starts_with(&name)), "{name}: {samples:#?}");
        assert!(sum(&samples, &name, "").abs() < 1e-9, "{samples:#?}");
    }
    for lag in ["lag_events", "lag_milliseconds"] {
        let name = format!("orderstore_projection_{lag}");
        assert!(sum(&samples, &name, &of_orders).abs() < 1e-9, "{samples:#?}");
    }
    let query = "{ projections { name generations { generation version state phase
        quarantinedStreams slices { slice position held caughtUp updatedAt lagMilliseconds
        eventsApplied duplicatesDropped gapsHealed } } } }";
    let read = api.data(query, json!({})).await;
    let all = read["projections"].as_array().unwrap();
    let one = all.iter().find(|it| it["name"] == "orders").unwrap();
    let [generation] = &one["generations"].as_array().unwrap()[..] else { panic!("{one:#}") };
    assert_eq!((&generation["state"], &generation["phase"]), (&json!("LIVE"), &Value::Null));
    let slice = &generation["slices"][0];
    assert_eq!((&slice["lagMilliseconds"], &slice["gapsHealed"]), (&json!(0), &json!("0")));
    assert_eq!((&slice["held"], &slice["caughtUp"]), (&json!(true), &json!(true)));

    let live = sum(&samples, "orderstore_projection_generation", "state=\"live\"");
    let all = u32::try_from(projector::read_model::ProjectionName::ALL.len()).unwrap();
    assert!((live - f64::from(all)).abs() < 1e-9, "{samples:#?}");
}

#[tokio::test]
async fn projections_that_nobody_works_on_fall_behind() {
    let whole = Whole::start().await;
    let Whole { api, projector, postgres } = whole;
    Acting::on(&api, two_mugs("k-1")).await;
    must(projector.stop()).await;
    Acting::on(&api, two_mugs("k-2")).await;
    let (status, samples) = metrics(&api).await;
    assert_eq!(status, 200);
    assert!(sum(&samples, "orderstore_projection_lag_events", "\"orders\"") > 0.0, "{samples:#?}");
    assert!(sum(&samples, "orderstore_projection_held", "").abs() < 1e-9, "{samples:#?}");
    must(postgres.stop()).await.unwrap();
    assert_eq!(metrics(&api).await.0, 503);
}

#[tokio::test]
async fn a_generation_that_waits_says_why_and_one_that_was_promoted_how_it_compared() {
    let whole = Whole::start().await;
    let (api, url) = (&whole.api, whole.postgres.url());
    Acting::on(api, two_mugs("k-1")).await;
    let orders = projector::read_model::ProjectionName::Orders;
    let options = projector::RebuildOptions { promote: false, ..Default::default() };
    let names = [orders];
    let rebuild = projector::Rebuild::start(&url, api.journal.clone(), &names, options);
    must(rebuild.await.unwrap().finish()).await.unwrap();
    let query = "{ projections { name generations { generation state refusal { at reason }
        compared { with at rows differing notCompared } } } }";
    let second = async || {
        let read = api.data(query, json!({})).await;
        let all = read["projections"].as_array().unwrap();
        let orders = all.iter().find(|it| it["name"] == "orders").unwrap();
        orders["generations"][1].clone()
    };
    let waits = second().await;
    assert_eq!((&waits["state"], &waits["compared"]), (&json!("BUILDING"), &Value::Null));
    let reason = waits["refusal"]["reason"].as_str().unwrap();
    assert!(reason.contains("it is not to be promoted"), "{waits:#}");
    assert!(waits["refusal"]["at"].is_string());

    let options = projector::PromoteOptions::default();
    must(projector::promote(&url, &api.journal, orders, options)).await.unwrap();
    let live = second().await;
    assert_eq!((&live["state"], &live["refusal"]), (&json!("LIVE"), &Value::Null));
    let compared = &live["compared"];
    assert_eq!((&compared["with"], &compared["differing"]), (&json!(1), &json!("0")));
    assert_eq!((&compared["notCompared"], compared["at"].is_string()), (&json!("0"), true));
    assert_ne!(compared["rows"], "0");
}
