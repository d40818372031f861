//! The function's signature, checked by moto, which signs each request once more with botocore and compares.

use lab::perseus::{Perseus, Reply};

use crate::{
    event::event,
    function,
    queue::{Kind, Queue},
    server::Server,
};

#[tokio::test]
#[ignore = "needs moto_server: run by .ci/run"]
async fn a_request_is_taken_with_the_right_key_and_refused_with_a_wrong_one() {
    let server = Server::start().await;
    let perseus = Perseus::start(|_| Reply::status(400)).await;
    let queue = Queue::create(&server, Kind::Standard, 10).await;
    for _ in 0..2 {
        queue.send(|message| message.message_body("{\"poison\":\"\u{e9}\"}")).await;
    }
    let messages = queue.receive(2).await;
    let (id, secret) = user(&server).await;
    for (secret, message, reported, refusal) in
        [("wrong", &messages[0], 1, true), (secret.as_str(), &messages[1], 0, false)]
    {
        let settings = [
            server.settings()[0],
            ("REJECTED_QUEUE_URL", &queue.dead_letter_url),
            ("AWS_ACCESS_KEY_ID", &id),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        let environment = function::start_with(&perseus, &settings).await;
        check_signatures_after(&server, 0).await;
        let event = event(&queue.arn, std::slice::from_ref(message)).to_string();
        let answer = environment.invoke(event).await.answer;
        assert_eq!(answer.failed_ids().len(), reported, "{:#?}", environment.logs());
        let is_refused = environment.logs().iter().any(|line| line.contains("status 403"));
        assert_eq!(is_refused, refusal, "{:#?}", environment.logs());
    }
    check_signatures_after(&server, 1_000).await;
    assert_eq!(queue.receive_dead_letters().await.len(), 1);
}

/// Has the server check the signature of every request after that many.
async fn check_signatures_after(server: &Server, requests: u32) {
    server.post("/moto-api/reset-auth", "moto", "text/plain", &requests.to_string()).await;
}

/// A user who may do anything with SQS, and whose keys the server knows: their id and secret.
async fn user(server: &Server) -> (String, String) {
    const POLICY: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                          %22Action%22%3A%22sqs%3A*%22%2C%22Resource%22%3A%22*%22%7D%5D%7D";
    let iam = async |action: String| {
        let call = format!("Version=2010-05-08&UserName=forwarder&{action}");
        server.post("/", "iam", "application/x-www-form-urlencoded", &call).await
    };
    iam("Action=CreateUser".to_owned()).await;
    iam(format!("Action=PutUserPolicy&PolicyName=sqs&PolicyDocument={POLICY}")).await;
    let reply = iam("Action=CreateAccessKey".to_owned()).await;
    let value = |name: &str| {
        let value = reply.split(&format!("<{name}>")).nth(1).and_then(|rest| rest.split('<').next());
        value.unwrap_or_else(|| panic!("no {name} in {reply}")).to_owned()
    };
    (value("AccessKeyId"), value("SecretAccessKey"))
}
