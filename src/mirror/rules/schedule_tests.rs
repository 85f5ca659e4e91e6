use super::*;
use proptest::prelude::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect(name)
}

fn find(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

fn parse(text: &str) -> Result<Schedule, String> {
    Schedule::parse(text, &Zones { local: TimeZone::UTC, find: &find })
}

fn time(text: &str) -> SystemTime {
    text.parse::<Timestamp>().expect(text).into()
}

/// Returns the next time as text, in UTC.
fn next(schedule: &str, after: &str) -> String {
    let next = parse(schedule).expect(schedule).next(time(after)).expect("a next time");
    Timestamp::try_from(next).expect("a timestamp").to_string()
}

#[test]
fn cron_expressions_name_the_next_minute_after_a_time() {
    for (schedule, after, expected) in [
        ("* * * * *", "2012-07-09T14:45:30.5Z", "2012-07-09T14:46:00Z"),
        ("* * * * *", "2012-12-31T23:59:45Z", "2013-01-01T00:00:00Z"),
        ("0/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00Z"),
        ("0/15 * * * *", "2012-07-09T14:59:59.999Z", "2012-07-09T15:00:00Z"),
        ("5/15 * * * *", "2012-07-09T15:20:00Z", "2012-07-09T15:35:00Z"),
        ("*/15 * * * *", "2012-07-09T23:46:00Z", "2012-07-10T00:00:00Z"),
        ("20-35/15 * * * *", "2012-07-09T15:45:00Z", "2012-07-09T16:20:00Z"),
        ("20-35/15 1/2 */2 * *", "2012-07-09T23:35:51Z", "2012-07-11T01:20:00Z"),
        ("20-35/15 * 9-20 Jul *", "2012-07-09T23:35:51Z", "2012-07-10T00:20:00Z"),
        ("15 01 * * *", "2012-07-09T01:15:00Z", "2012-07-10T01:15:00Z"),
        ("0 0 9 Apr-Oct ?", "2012-07-09T23:35:00Z", "2012-08-09T00:00:00Z"),
        ("0 0 */5 Apr,Aug,Oct Mon", "2012-07-09T23:35:00Z", "2012-08-01T00:00:00Z"),
        ("0 0 * Feb Mon", "2012-07-09T23:35:00Z", "2013-02-04T00:00:00Z"),
        ("0 0 * Feb Mon/2", "2012-07-09T23:35:00Z", "2013-02-01T00:00:00Z"),
        ("0 0 29 Feb ?", "2012-07-09T23:35:00Z", "2016-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        // Two restricted days: one has to match. A star, even one with a step of 1: both have to.
        ("0 0 1,15 * Sun", "2012-07-01T00:00:00Z", "2012-07-08T00:00:00Z"),
        ("0 0 1,15 * sun", "2012-07-08T00:00:00Z", "2012-07-15T00:00:00Z"),
        ("0 0 */10 * Sun", "2012-07-08T00:00:00Z", "2012-07-11T00:00:00Z"),
        ("0 0 1,15 * *", "2012-07-01T00:00:00Z", "2012-07-15T00:00:00Z"),
        ("0 0 1,15 * */1", "2012-07-01T00:00:00Z", "2012-07-15T00:00:00Z"),
        ("0 0 ? * MON-fri", "2012-07-06T00:00:00Z", "2012-07-09T00:00:00Z"),
        ("30 08 ? Jul Sun", "2012-07-09T00:00:00Z", "2012-07-15T08:30:00Z"),
        ("0 0 30 2 Mon", "2012-01-31T00:00:00Z", "2012-02-06T00:00:00Z"),
        ("1,,2 * * * *", "2012-01-31T00:01:00Z", "2012-01-31T00:02:00Z"),
        ("0/70 * * * *", "2012-01-31T00:01:00Z", "2012-01-31T01:00:00Z"),
        ("@hourly", "2012-07-09T15:04:00Z", "2012-07-09T16:00:00Z"),
        ("@daily", "2012-07-09T15:04:00Z", "2012-07-10T00:00:00Z"),
        ("@midnight", "2012-07-09T00:00:00Z", "2012-07-10T00:00:00Z"),
        ("@weekly", "2012-07-09T15:04:00Z", "2012-07-15T00:00:00Z"),
        ("@monthly", "2012-07-09T15:04:00Z", "2012-08-01T00:00:00Z"),
        ("@yearly", "2012-07-09T15:04:00Z", "2013-01-01T00:00:00Z"),
        (" @annually ", "2012-07-09T15:04:00Z", "2013-01-01T00:00:00Z"),
    ] {
        assert_eq!(next(schedule, after), expected, "{schedule} after {after}");
    }
}

#[test]
fn a_change_of_the_clock_skips_and_repeats_local_times() {
    for (schedule, after, expected) in [
        // From 02:00 to 03:00 on 11 March 2012.
        ("30 2 11 Mar ?", "2012-03-11T00:00:00-05", "2013-03-11T02:30:00-04"),
        ("0 * * * ?", "2012-03-11T01:00:00-05", "2012-03-11T03:00:00-04"),
        ("0 1 * * ?", "2012-03-11T01:00:00-05", "2012-03-12T01:00:00-04"),
        ("0 2 * * ?", "2012-03-11T00:00:00-05", "2012-03-12T02:00:00-04"),
        // Back from 02:00 to 01:00 on 4 November 2012.
        ("30 2 04 Nov ?", "2012-11-04T00:00:00-04", "2012-11-04T02:30:00-05"),
        ("30 1 04 Nov ?", "2012-11-04T01:45:00-04", "2012-11-04T01:30:00-05"),
        ("0 * * * ?", "2012-11-04T01:00:00-04", "2012-11-04T01:00:00-05"),
        ("0 * * * ?", "2012-11-04T01:00:00-05", "2012-11-04T02:00:00-05"),
        ("0 1 * * ?", "2012-11-04T00:00:00-04", "2012-11-04T01:00:00-04"),
        ("0 1 * * ?", "2012-11-04T01:00:00-04", "2012-11-04T01:00:00-05"),
        ("0 1 * * ?", "2012-11-04T01:00:00-05", "2012-11-05T01:00:00-05"),
        ("*/30 * * * ?", "2012-11-04T01:30:00-04", "2012-11-04T01:00:00-05"),
        ("0 3 3 * ?", "2012-11-04T00:00:00-04", "2012-12-03T03:00:00-05"),
    ] {
        let expected = Timestamp::try_from(time(expected)).expect("a timestamp").to_string();
        for variable in ["CRON_TZ", "TZ"] {
            let zoned = format!("{variable}=America/New_York {schedule}");
            assert_eq!(next(&zoned, after), expected, "{zoned} after {after}");
        }
        let zones = Zones { local: zone("America/New_York"), find: &|_| None };
        let local = Schedule::parse(schedule, &zones).expect(schedule).next(time(after));
        assert_eq!(local, Some(time(&expected)), "{schedule} after {after}");
    }
    // There was no midnight on 4 November 2018 in São Paulo, a Sunday, nor on 22 March 2013 in Tehran.
    assert_eq!(next("TZ=America/Sao_Paulo 0 7 * 11 2-6", "2018-11-04T01:50:22Z"), "2018-11-06T09:00:00Z");
    assert_eq!(next("TZ=Asia/Tehran * * 22 3 *", "2012-12-12T05:48:07Z"), "2013-03-21T20:30:00Z");
    // Lord Howe Island moves its clocks by half an hour.
    assert_eq!(next("TZ=Australia/Lord_Howe * 15 * * *", "2012-03-31T20:00:00Z"), "2012-04-01T04:30:00Z");
    assert_eq!(next("TZ=America/Sao_Paulo 0 9 10 * ?", "2018-10-17T05:00:00-04"), "2018-11-10T11:00:00Z");
    assert_eq!(next("TZ=America/Sao_Paulo @daily", "2018-11-03T12:00:00-03"), "2018-11-05T02:00:00Z");
}

#[test]
fn a_schedule_may_name_its_time_zone() {
    assert_eq!(next("CRON_TZ=Asia/Tokyo 5 0 * * *", "2020-01-01T00:00:00Z"), "2020-01-01T15:05:00Z");
    assert_eq!(next("TZ=UTC  @midnight", "2020-01-01T00:00:00Z"), "2020-01-02T00:00:00Z");
    assert_eq!(next("TZ=Local 0 0 * * *", "2020-01-01T00:00:00Z"), "2020-01-02T00:00:00Z");
    assert_eq!(next("TZ=Asia/Tokyo @every 1h", "2020-01-01T00:00:00Z"), "2020-01-01T01:00:00Z");
}

#[test]
fn intervals_count_in_whole_seconds_from_a_time() {
    for (schedule, after, expected) in [
        ("@every 5m", "2012-07-09T14:45:00Z", "2012-07-09T14:50:00Z"),
        ("@every 1h30m10s", "2012-07-09T14:45:59.75Z", "2012-07-09T16:16:09Z"),
        ("@every 20ms", "2012-07-09T14:45:00Z", "2012-07-09T14:45:01Z"),
        ("@every 90.9s", "2012-07-09T14:45:00.1Z", "2012-07-09T14:46:30Z"),
        ("@every  24h", "2012-12-31T23:59:45Z", "2013-01-01T23:59:45Z"),
    ] {
        assert_eq!(next(schedule, after), expected, "{schedule} after {after}");
    }
}

#[test]
fn a_schedule_takes_precedence_over_an_interval() {
    let zones = Zones { local: TimeZone::UTC, find: &find };
    let of = |schedule, interval| Schedule::of_entry(schedule, interval, &zones).expect("a schedule");
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(of(None, None), None);
    assert_eq!(of(None, Some(Duration::ZERO)), None);
    assert_eq!(of(Some(""), hour), Some(parse("@every 1h").expect("a schedule")));
    assert_eq!(of(Some("@daily"), hour), Some(parse("0 0 * * *").expect("a schedule")));
    assert!(Schedule::of_entry(Some("daily"), hour, &zones).is_err());
}

#[test]
fn rejects_invalid_schedules_with_a_reason() {
    for (schedule, why) in [
        ("", "it has 0 fields"),
        ("xyz", "it has 1 fields; write minute, hour"),
        ("* * * *", "it has 4 fields"),
        ("0 * * * * *", "it has 6 fields"),
        ("60 0 * * *", "the minute 60 is not within 0 to 59"),
        ("0 24 * * *", "the hour 24 is not within 0 to 23"),
        ("0 0 0 * *", "the day of the month 0 is not within 1 to 31"),
        ("0 0 32 * *", "the day of the month 32 is not within 1 to 31"),
        ("0 0 * 13 *", "the month 13 is not within 1 to 12"),
        ("0 0 * * 7", "the day of the week 7 is not within 0 to 6; Sunday is 0"),
        ("0 0 * * XYZ", "the day of the week \"XYZ\" is not one of 0 to 6"),
        ("* j * * *", "the hour \"j\" is not one of 0 to 23"),
        ("-1 * * * *", "the minute \"\" is not one of"),
        ("+1 * * * *", "the minute \"+1\" is not one of"),
        ("5--5 * * * *", "the minute \"-5\" is not one of"),
        ("*-5 * * * *", "the minute \"*\" is not one of"),
        ("30-20 * * * *", "the minute \"30-20\" ends before it starts"),
        ("0 0 * * fri-mon", "the day of the week \"fri-mon\" ends before it starts"),
        ("*/0 * * * *", "the step \"0\" of the minute is not a positive number"),
        ("15/0 * * * *", "the step \"0\" of the minute"),
        ("*/-12 * * * *", "the step \"-12\" of the minute"),
        ("*//2 * * * *", "the step \"/2\" of the minute"),
        (", * * * *", "the minute \",\" contains no value"),
        ("99999999999 * * * *", "the minute \"99999999999\" is not one of"),
        ("0 0 30 Feb ?", "none of its months has such a day"),
        ("0 0 31 4,6,9,11 *", "none of its months has such a day"),
        ("@reboot", "\"@reboot\" is not one of @yearly, @annually"),
        ("@Daily", "is not one of"),
        ("@every", "\"@every\" is not one of"),
        ("@every5m", "\"@every5m\" is not one of"),
        ("@every Xm", "invalid duration \"Xm\""),
        ("@every 0s", "the duration is zero"),
        ("@every -5m", "the duration is negative"),
        ("@every 1d", "the unit \"d\" is unknown"),
        ("CRON_TZ=Mars/Base 0 0 * * *", "\"Mars/Base\" is not a time zone"),
        ("TZ=UTC", "the schedule after the time zone is missing"),
        ("TZ=UTC  ", "the schedule after the time zone is missing"),
    ] {
        let message = parse(schedule).expect_err(schedule);
        assert!(message.starts_with("invalid schedule \"") && message.contains(why), "{schedule}: {message}");
    }
}

#[test]
fn the_delay_of_a_key_is_always_the_same_and_less_than_a_tenth_of_the_gap() {
    let due = time("2012-07-09T14:00:00Z");
    let hourly = parse("@hourly").expect("a schedule");
    let delays: Vec<Duration> =
        (0..1000).map(|i| hourly.delay(due, &format!("entry {i}"), Duration::MAX)).collect();
    assert_eq!(delays[7], hourly.delay(due, "entry 7", Duration::MAX));
    assert!(delays.iter().all(|delay| *delay < Duration::from_secs(360)));
    let average = delays.iter().sum::<Duration>() / 1000;
    assert!((160..200).contains(&average.as_secs()), "{average:?}");
    let minute = Duration::from_secs(60);
    assert!((0..1000).all(|i| hourly.delay(due, &i.to_string(), minute) < minute));
}

#[test]
fn seven_thousand_schedules_are_read_and_looked_up_quickly() {
    let start = std::time::Instant::now();
    for i in 0..7000 {
        let schedule =
            parse(&format!("CRON_TZ=Europe/Berlin {} {} */3 * *", i % 60, i % 24)).expect("a schedule");
        assert!(schedule.next(time("2026-10-25T00:30:00Z")).is_some());
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn parsing_any_schedule_does_not_panic(text in "[@*?0-9a-z,/ -]{0,30}|(TZ=)?.*", after in any::<i64>()) {
        if let Ok(schedule) = parse(&text) {
            let after = Timestamp::from_second(after % 4_000_000_000).expect("a timestamp");
            let _ = schedule.next(after.into());
        }
    }

    #[test]
    fn the_next_time_is_the_first_match(
        minute in 0u32..60, hour in 0u32..24, start in 1_300_000_000i64..2_000_000_000, part in 0.0f64..1.0,
    ) {
        let text = format!("CRON_TZ=America/New_York {minute} {hour},{} * * *", (hour + 7) % 24);
        let schedule = parse(&text).expect("a schedule");
        let after: SystemTime = Timestamp::from_second(start).expect("a timestamp").into();
        let next = schedule.next(after).expect("a next time");
        prop_assert!(next > after);
        // Asked from any time in between, the answer is the same.
        let gap = next.duration_since(after).expect("a later time");
        let between = after + Duration::from_secs((gap.as_secs_f64() * part) as u64);
        prop_assert_eq!(schedule.next(between), Some(next));
    }
}
