//! Sessions that agreed on something: binary frames, credits, giving work back.

use super::*;
use crate::framing::Framing;
use crate::payload::{
    BalanceRequest, Capabilities, Capability, Credit, LoadNotice, Meta, Negotiation,
};

const ALL: Capabilities = CoordinatorOptions::DEFAULTS.offers;

fn negotiate(end: &mut CoordinatorEnd, offers: Capabilities, window: Credit) -> Negotiation {
    let call = NodeCall::Negotiate(Negotiation::offering(offers, window));
    let outputs = say(end, 1, &call);
    let [CoordinatorOutput::Send(frame)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let answer: Value = serde_json::from_str(frame.text().unwrap()).unwrap();
    serde_json::from_value(answer["result"].clone()).unwrap()
}

fn live_with(offers: Capabilities, window: Credit) -> CoordinatorEnd {
    let mut end = new_end();
    negotiate(&mut end, offers, window);
    go_live(&mut end);
    end
}

const WINDOW: Credit = Credit {
    items: 2,
    bytes: 1 << 20,
};

#[test]
fn the_answer_is_what_both_have() {
    let mut end = new_end();
    let offers = Capabilities::NONE
        .with(Capability::MessagePack)
        .with(Capability::TaskSplit);
    let answer = negotiate(&mut end, offers, WINDOW);
    assert_eq!(answer.capabilities, ["frames.messagepack"]);
    assert_eq!((answer.version.as_str(), answer.credit), ("1.0", None));
    let again = NodeCall::Negotiate(Negotiation::offering(offers, WINDOW));
    let id = RequestId::Number(2);
    let outputs = end.on_text(1, &again.encode(Some(&id)));
    let [CoordinatorOutput::Send(frame)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert!(
        frame.text().is_none(),
        "from here on it writes binary frames"
    );
}

#[test]
fn another_major_version_is_not_negotiated_with() {
    let mut said = Negotiation::offering(ALL, WINDOW);
    said.version = "2.0".to_owned();
    let outputs = say(&mut new_end(), 1, &NodeCall::Negotiate(said));
    let expected = ["error version_unsupported to 1", "close Protocol"];
    assert_eq!(words(&outputs), expected);
}

#[test]
fn binary_frames_are_refused_unless_agreed_on() {
    let framing = Framing::agreed(Capabilities::NONE.with(Capability::MessagePack));
    let beat = NodeCall::Heartbeat(Heartbeat {
        sequence: 1,
        terms: None,
    });
    let frame = beat.frame(framing, Some(&RequestId::Number(5)));
    let mut end = live();
    let expected = ["error encoding_not_agreed to null"];
    assert_eq!(words(&end.on_frame(1, frame.as_ref())), expected);

    let mut end = live_with(Capabilities::NONE.with(Capability::MessagePack), WINDOW);
    let outputs = end.on_frame(1, frame.as_ref());
    assert!(matches!(
        outputs[1],
        CoordinatorOutput::Event(FromNode::Heartbeat { .. })
    ));
    // Text is read at any time.
    assert_eq!(say(&mut end, 6, &beat).len(), 2);
}

fn grant(end: &mut CoordinatorEnd, credit: Credit) -> Vec<String> {
    let frame = Framing::TEXT.call_with(
        None,
        method::STATUS_UPDATE,
        &ProgressBatch::default(),
        &Meta::granting(credit),
    );
    words(&end.on_frame(1, frame.as_ref()))
}

#[test]
fn assignments_beyond_the_credit_wait_for_a_grant() {
    let mut end = live_with(Capabilities::NONE.with(Capability::Credits), WINDOW);
    let offers: Vec<Offer> = (1..=5).map(|task| offer(key(task, 1))).collect();
    assert_eq!(
        words(&end.assign(&offers)),
        ["send mcpx.orchestrate.task.assign"]
    );
    assert_eq!(end.waiting.len(), 3);
    // A revoked one is not sent any more.
    end.revoke(&[key(3, 1)]);
    let more = Credit { items: 3, ..WINDOW };
    assert_eq!(grant(&mut end, more), ["send mcpx.orchestrate.task.assign"]);
    assert_eq!(end.waiting.front().map(Offer::key), Some(key(5, 1)));
    assert!(
        grant(&mut end, WINDOW).is_empty(),
        "an old grant changes nothing"
    );
    let more = Credit { items: 9, ..WINDOW };
    assert_eq!(grant(&mut end, more), ["send mcpx.orchestrate.task.assign"]);
    assert!(end.waiting.is_empty());
}

#[test]
fn an_assignment_larger_than_the_credit_goes_alone_when_nothing_is_under_way() {
    let tight = Credit {
        items: 9,
        bytes: 10,
    };
    let mut end = live_with(Capabilities::NONE.with(Capability::Credits), tight);
    let offers: Vec<Offer> = (1..=2).map(|task| offer(key(task, 1))).collect();
    assert_eq!(end.assign(&offers).len(), 1);
    assert_eq!(end.waiting.len(), 1);
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"items":[]}}"#;
    let outputs = words(&end.on_text(1, answer));
    assert_eq!(
        outputs,
        ["event Assigned", "send mcpx.orchestrate.task.assign"]
    );
}

#[test]
fn results_beyond_the_credit_are_refused_and_answers_grant_more() {
    let options = CoordinatorOptions {
        result_window: Credit {
            items: 1,
            bytes: 1 << 20,
        },
        ..CoordinatorOptions::DEFAULTS
    };
    let mut end = CoordinatorEnd::new(options, 0);
    negotiate(
        &mut end,
        Capabilities::NONE.with(Capability::Credits),
        WINDOW,
    );
    go_live(&mut end);
    let outputs = say(&mut end, 20, &results_call());
    let [CoordinatorOutput::Event(FromNode::Results { reply, .. })] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let refused = ["error credit_exceeded to 21"];
    assert_eq!(words(&say(&mut end, 21, &results_call())), refused);
    let outputs = end.reply_results(reply, &ResultAnswers::default());
    let [CoordinatorOutput::Send(answer)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let text = answer.text().unwrap();
    assert!(text.contains(r#""_meta":{"credit":{"items":2,"#), "{text}");
    assert_eq!(
        words(&say(&mut end, 22, &results_call())),
        ["event Results"]
    );
}

#[test]
fn work_is_asked_back_of_nodes_that_know_how() {
    let request = BalanceRequest {
        attempts: vec![key(1, 1)],
        at_most: 1,
    };
    assert_eq!(live().ask_back(&request), None);
    let mut end = live_with(Capabilities::NONE.with(Capability::LoadBalance), WINDOW);
    let outputs = end.ask_back(&request).unwrap();
    assert_eq!(words(&outputs), ["send mcpx.distribute.load.balance"]);
    let answer = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"given_back":[{}]}}}}"#,
        serde_json::to_string(&key(1, 1)).unwrap()
    );
    let given_back = vec![key(1, 1)];
    assert_eq!(
        end.on_text(1, &answer),
        [CoordinatorOutput::Event(FromNode::GaveBack { given_back })]
    );
    // An answer to nothing is counted, and a refusal is an answer.
    end.ask_back(&request).unwrap();
    let fault = r#"{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"no"}}"#;
    assert_eq!(words(&end.on_text(1, fault)), ["event GaveBack"]);
}

#[test]
fn a_node_that_has_too_much_is_heard() {
    let mut end = live();
    let notice = NodeCall::Load(LoadNotice {
        overloaded: true,
        waiting: 2,
    });
    assert_eq!(words(&end.on_text(1, &notice.encode(None))), ["event Load"]);
}

#[test]
fn what_waits_for_credit_is_taken_back_without_the_node() {
    let one = Credit { items: 1, ..WINDOW };
    let mut end = live_with(Capabilities::NONE.with(Capability::Credits), one);
    end.assign(&[offer(key(1, 1)), offer(key(2, 1)), offer(key(3, 1))]);
    let only = |attempts: Vec<AttemptKey>, at_most| BalanceRequest { attempts, at_most };
    assert_eq!(end.ask_back(&only(vec![key(1, 1)], 5)), None, "it was sent");
    let gave_back = |given_back| {
        Some(vec![CoordinatorOutput::Event(FromNode::GaveBack {
            given_back,
        })])
    };
    assert_eq!(
        end.ask_back(&only(Vec::new(), 1)),
        gave_back(vec![key(3, 1)])
    );
    assert_eq!(
        end.ask_back(&only(Vec::new(), 5)),
        gave_back(vec![key(2, 1)])
    );
    assert_eq!(end.ask_back(&only(Vec::new(), 5)), None);
}
