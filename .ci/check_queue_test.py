#!/usr/bin/env python3
"""Tests the function of template.yaml that checks an existing queue, against moto's SQS."""

import json
import os
import sys
import types

os.environ.update(AWS_DEFAULT_REGION="eu-west-1", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")

import boto3
from moto import mock_aws
from samtranslator.yaml_helper import yaml_parse

HERE = "arn:aws:sqs:eu-west-1:123456789012:"
CONTEXT = types.SimpleNamespace(invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:stack-check")
answers = []


def answer(_event, _context, status, data, physical_id, reason=None):
    answers.append((status, data, physical_id, reason))


def load():
    """The handler of the code in the template. Lambda itself adds the module cfnresponse to such code."""
    sys.modules["cfnresponse"] = types.SimpleNamespace(SUCCESS="SUCCESS", FAILED="FAILED", send=answer)
    with open("template.yaml", encoding="utf-8") as file:
        code = yaml_parse(file.read())["Resources"]["QueueCheck"]["Properties"]["Code"]["ZipFile"]
    module = {}
    exec(compile(code, "template.yaml", "exec"), module)
    return module["handler"]


def ask(handler, queue=HERE + "orders", request="Create", **changed):
    wanted = {"Queue": queue, "IsFifo": "false", "VisibilityTimeout": "361", "Key": "", **changed}
    handler({"RequestType": request, "ResourceProperties": wanted}, CONTEXT)
    return answers.pop()


def make(sqs, name, dead="dead", receives=10, **attributes):
    if dead:
        policy = {"deadLetterTargetArn": HERE + dead, "maxReceiveCount": receives}
        attributes["RedrivePolicy"] = json.dumps(policy)
    sqs.create_queue(QueueName=name, Attributes=attributes)


@mock_aws
def main():
    handler = load()
    sqs = boto3.client("sqs")
    make(sqs, "dead", dead=None, MessageRetentionPeriod="1209600")
    make(sqs, "dead.fifo", dead=None, MessageRetentionPeriod="345600", FifoQueue="true")
    make(sqs, "orders", VisibilityTimeout="361", MessageRetentionPeriod="604800")
    make(sqs, "orders.fifo", dead="dead.fifo", VisibilityTimeout="360", FifoQueue="true")
    make(sqs, "hasty", VisibilityTimeout="360")
    make(sqs, "endless", dead=None, VisibilityTimeout="361")
    make(sqs, "impatient", receives=4, VisibilityTimeout="361")
    make(sqs, "old", VisibilityTimeout="361", MessageRetentionPeriod="1209600")
    make(sqs, "secret", VisibilityTimeout="361", KmsMasterKeyId="alias/mine")
    make(sqs, "aws", VisibilityTimeout="361", KmsMasterKeyId="alias/aws/sqs")

    status, data, physical_id, _ = ask(handler)
    assert (status, physical_id) == ("SUCCESS", HERE + "orders"), status
    assert data["QueueName"] == "orders" and data["Url"].endswith("/123456789012/orders"), data
    assert data["DeadLetterQueueArn"] == HERE + "dead" and data["DeadLetterQueueName"] == "dead", data
    assert data["DeadLetterQueueUrl"].endswith("/123456789012/dead"), data
    assert (data["Retention"], data["DeadLetterRetention"]) == ("604800", 604800), data
    # On a FIFO queue a dead letter is as new as its arrival, so both may keep messages equally long.
    status, data, _, _ = ask(handler, HERE + "orders.fifo", IsFifo="true", VisibilityTimeout="360")
    assert (status, data["DeadLetterRetention"]) == ("SUCCESS", 345600), data
    assert ask(handler, HERE + "aws")[0] == "SUCCESS"
    assert ask(handler, HERE + "secret", Key="arn:aws:kms:eu-west-1:123456789012:key/k")[0] == "SUCCESS"
    assert ask(handler, HERE + "orders", request="Update")[0] == "SUCCESS"

    for queue, changed, reason in [
        (HERE + "hasty", {}, "its visibility timeout is 360 s, and must be at least 361 s"),
        (HERE + "endless", {}, "it needs a redrive policy"),
        (HERE + "impatient", {}, "maxReceiveCount of at least 5"),
        (HERE + "old", {}, "its dead-letter queue dead must keep messages longer"),
        (HERE + "secret", {}, "it is encrypted with alias/mine"),
        (HERE + "orders", {"IsFifo": "true"}, "it must be FIFO exactly if FifoQueue is true"),
        (HERE + "orders.fifo", {}, "it must be FIFO exactly if FifoQueue is true"),
        (HERE + "absent", {}, "does not exist"),
        ("arn:aws:sqs:us-east-1:123456789012:orders", {}, "it is not in this account and region"),
        ("arn:aws:sqs:eu-west-1:210987654321:orders", {}, "it is not in this account and region"),
    ]:
        status, data, _, found = ask(handler, queue, **changed)
        assert (status, data) == ("FAILED", {}) and reason in found, (queue, status, found)
    # A stack whose queue is gone must still be deletable.
    assert ask(handler, HERE + "absent", request="Delete")[0] == "SUCCESS"
    print("the check of an existing queue does what it should")


main()
