# A minimal deployment with Terraform: queue, dead-letter queue, function, role. docs/other-tools.md says what the SAM
# template has besides.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "perseus_url" {
  type        = string
  description = "Where batches are posted."
}

variable "archive" {
  type        = string
  description = "Path of the release's zip for x86_64."
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "perseus-forwarder-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue" "messages" {
  name = "perseus-forwarder"
  # At least six times the function's timeout, and the batching window.
  visibility_timeout_seconds = 370
  sqs_managed_sse_enabled    = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = 10
  })
}

resource "aws_cloudwatch_log_group" "forwarder" {
  name              = "/aws/lambda/perseus-forwarder"
  retention_in_days = 30
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "forwarder" {
  statement {
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
    ]
    resources = [aws_sqs_queue.messages.arn]
  }
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.forwarder.arn}:*"]
  }
}

resource "aws_iam_role" "forwarder" {
  name               = "perseus-forwarder"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "forwarder" {
  role   = aws_iam_role.forwarder.id
  policy = data.aws_iam_policy_document.forwarder.json
}

resource "aws_lambda_function" "forwarder" {
  function_name    = "perseus-forwarder"
  role             = aws_iam_role.forwarder.arn
  filename         = var.archive
  source_code_hash = filebase64sha256(var.archive)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = ["x86_64"]
  memory_size      = 256
  timeout          = 60
  environment {
    variables = {
      PERSEUS_URL    = var.perseus_url
      SQS_VISIBILITY = "on"
      METRICS        = "on"
    }
  }
  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.forwarder.name
  }
}

resource "aws_lambda_event_source_mapping" "messages" {
  event_source_arn                   = aws_sqs_queue.messages.arn
  function_name                      = aws_lambda_function.forwarder.arn
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 1
  # Without it the whole batch would leave the queue, failed messages included.
  function_response_types = ["ReportBatchItemFailures"]
}

output "queue_url" {
  value = aws_sqs_queue.messages.url
}
