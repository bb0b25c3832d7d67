//! Very many requests at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::join_all;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::peers::{Caller, Came, Host, content, request_within};
use crate::site::{Running, Site};
use crate::support::until;

const CALLERS: u32 = 10;
const EACH: u32 = 100;
/// Of the requests, those whose number is a multiple of this are never answered.
const FORGOTTEN: u32 = 20;

/// What a request says, by which it is known again.
fn name(caller: u32, id: u32) -> String {
    format!("request {id} of caller {caller}")
}

#[actix::test]
async fn every_answer_of_a_thousand_reaches_its_own_caller() {
    thousand("multiplex").await;
}

#[actix::test]
async fn so_it_does_where_each_request_has_a_connection() {
    thousand("ping-pong").await;
}

#[actix::test]
async fn so_it_does_where_each_caller_has_one_to_each_host() {
    let lines = thousand("bound").await;
    assert_eq!(lines, CALLERS * 3);
}

/// So many connections came to the hosts.
async fn thousand(pool_mode: &str) -> u32 {
    let hosts = [Host::new().await, Host::new().await, Host::new().await];
    let running = Site::forwarding(&[&hosts[0], &hosts[1], &hosts[2]], json!({}))
        .pool_mode(pool_mode)
        .workers(2)
        .start()
        .await;
    let callers = all_ask(&running).await;
    let came = all_of(&hosts).await;
    let seen: HashSet<_> = came.iter().map(|came| content(&came.message)).collect();
    assert_eq!(seen.len(), (CALLERS * EACH) as usize, "each came once");
    answer(came);

    let hear = (0..).zip(callers).map(|(number, mut caller)| async move {
        let mut answers = HashMap::new();
        for _ in 0..EACH {
            let answer = caller.hears().await;
            let said = (answer.frame.status, content(&answer));
            assert_eq!(answers.insert(answer.frame.asker.id, said), None);
        }
        for id in 1..=EACH {
            let expected = match id % FORGOTTEN {
                0 => (7, String::new()),
                _ => (0, name(number, id)),
            };
            assert_eq!(answers[&u64::from(id)], expected);
        }
        caller
    });
    let callers = join_all(hear).await;

    running.rests().await;
    let app = running.app().await;
    let late = u64::from(CALLERS * EACH / FORGOTTEN);
    assert_eq!(app.requests.request_total, u64::from(CALLERS * EACH));
    assert_eq!(app.requests.statuses.of(504), late);
    drop(callers);
    until("every caller has left", || async {
        running.app().await.totals.connections_active == 0
    })
    .await;
    hosts.iter().map(|host| host.lines.get()).sum()
}

async fn all_of(hosts: &[Host]) -> Vec<Came> {
    let hosts_each = (CALLERS * EACH) as usize;
    let mut all = Vec::new();
    while all.len() < hosts_each {
        let next = futures::future::select_all(hosts.iter().map(|host| Box::pin(host.hears())));
        all.push(next.await.0);
    }
    all
}

/// Every caller asks everything at once.
async fn all_ask(running: &Running) -> Vec<Caller> {
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(running.caller().await);
    }
    // Each caller uses the same ids.
    for (number, caller) in (0..).zip(&mut callers) {
        let all: Vec<_> = (1..=EACH)
            .flat_map(|id| {
                let waits = match id % FORGOTTEN {
                    0 => Duration::from_secs(3),
                    _ => Duration::from_secs(600),
                };
                request_within(id, "s", name(number, id).as_bytes(), Some(waits))
            })
            .collect();
        caller.says(&all).await;
    }
    callers
}

/// Answers in any order, and some twice.
fn answer(mut came: Vec<Came>) {
    let mut rng = SmallRng::seed_from_u64(7);
    came.shuffle(&mut rng);
    for one in came {
        let text = content(&one.message);
        let id: u32 = text.split(' ').nth(1).unwrap().parse().unwrap();
        if !id.is_multiple_of(FORGOTTEN) {
            one.answer(text.as_bytes());
            // Some hosts repeat themselves.
            if rng.random_ratio(1, 10) {
                one.answer(b"again");
            }
        }
    }
}
