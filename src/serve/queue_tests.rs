use super::*;
use crate::image::Digest;
use std::time::Duration;
use tokio::time::{sleep, timeout};

fn wanted(key: &str, digest: Option<&str>) -> Wanted {
    let digest = digest.map(Digest::sha256);
    Wanted { key: key.into(), entry: 0, source: "h.io/a".into(), tag: "1".into(), digest }
}

#[tokio::test]
async fn images_are_taken_in_the_order_of_arrival() {
    let queue = Queue::new(10);
    for key in ["a", "b", "c"] {
        assert_eq!(queue.push(wanted(key, None)), Pushed::Accepted);
    }
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(queue.take().await.unwrap().key.clone());
    }
    assert_eq!(keys, ["a", "b", "c"]);
    assert!(queue.is_idle());
}

#[tokio::test]
async fn events_for_one_image_merge_and_the_newest_digest_is_kept() {
    let queue = Queue::new(1);
    assert_eq!(queue.push(wanted("a", Some("old"))), Pushed::Accepted);
    assert_eq!(queue.push(wanted("a", Some("new"))), Pushed::Merged);
    assert_eq!(queue.push(wanted("a", None)), Pushed::Merged);
    assert_eq!(queue.push(wanted("b", None)), Pushed::Full);
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.take().await.unwrap().digest, Some(Digest::sha256("new")));
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_push_during_work_queues_the_image_once_more() {
    let queue = Queue::new(10);
    queue.push(wanted("a", Some("1")));
    let work = queue.take().await.unwrap();
    assert_eq!(queue.push(wanted("a", Some("2"))), Pushed::Accepted);
    assert_eq!(queue.push(wanted("a", Some("3"))), Pushed::Merged);
    queue.push(wanted("b", None));
    assert_eq!(queue.take().await.unwrap().key, "b");
    assert!(timeout(Duration::from_secs(60), queue.take()).await.is_err());
    drop(work);
    let again = queue.take().await.unwrap();
    assert_eq!((again.key.as_str(), again.digest.clone()), ("a", Some(Digest::sha256("3"))));
    drop(again);
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_is_woken_by_a_push() {
    let queue = Queue::new(10);
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { queue.take().await.unwrap().key.clone() }
    });
    sleep(Duration::from_secs(5)).await;
    queue.push(wanted("a", None));
    assert_eq!(worker.await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_queue_drains_what_it_accepted_and_then_lets_its_workers_go() {
    let queue = Queue::new(100);
    for n in 0..20 {
        queue.push(wanted(&n.to_string(), None));
    }
    let worker = || {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while let Some(_work) = queue.take().await {
                sleep(Duration::from_secs(1)).await;
                done += 1;
            }
            done
        })
    };
    let workers = [worker(), worker(), worker()];
    sleep(Duration::from_millis(500)).await;
    // Each of these has a worker already, and so another turn.
    for n in 0..3 {
        assert_eq!(queue.push(wanted(&n.to_string(), None)), Pushed::Accepted);
    }
    timeout(Duration::from_secs(60), queue.drain()).await.unwrap();
    assert_eq!(queue.push(wanted("late", None)), Pushed::Full);
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    assert_eq!(done, 23);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_worker_releases_its_image() {
    let queue = Queue::new(10);
    queue.push(wanted("a", None));
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let _work = queue.take().await;
            std::future::pending::<()>().await;
        }
    });
    sleep(Duration::from_secs(1)).await;
    queue.push(wanted("a", None));
    worker.abort();
    assert_eq!(timeout(Duration::from_secs(1), queue.take()).await.unwrap().unwrap().key, "a");
}

#[tokio::test]
async fn waiting_images_are_reconsidered() {
    let queue = Queue::new(10);
    for key in ["taken", "kept", "dropped"] {
        queue.push(wanted(key, None));
    }
    let work = queue.take().await.unwrap();
    queue.push(wanted("taken", None));
    queue.reconsider(|old| {
        (old.key != "dropped").then(|| Wanted { entry: 7, key: "other".into(), ..old.clone() })
    });
    assert_eq!(queue.len(), 2);
    let kept = queue.take().await.unwrap();
    assert_eq!((kept.key.as_str(), kept.entry), ("kept", 7));
    drop(work);
    assert_eq!(queue.take().await.unwrap().entry, 7);
    assert!(queue.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_push_is_lost_among_many_threads() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let queue = Queue::new(10_000);
    let last = Arc::new([const { AtomicU64::new(0) }; 8]);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, last) = (queue.clone(), last.clone());
            tokio::spawn(async move {
                while let Some(work) = queue.take().await {
                    last[work.entry].fetch_max(work.tag.parse().unwrap(), Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let pushers: Vec<_> = (0..8)
        .map(|entry| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for tag in 1..=2000u64 {
                    let wanted = Wanted { entry, tag: tag.to_string(), ..wanted(&entry.to_string(), None) };
                    assert_ne!(queue.push(wanted), Pushed::Full);
                    if tag % 7 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for pusher in pushers {
        pusher.await.unwrap();
    }
    queue.drain().await;
    for worker in workers {
        worker.await.unwrap();
    }
    assert!(last.iter().all(|last| last.load(Ordering::SeqCst) == 2000));
}
